/** What is asked for with each object: encryption at rest, by keys of S3 or of KMS (S7). */
import {
  CreateBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StorageBackend } from "#core/storage/backend.ts";
import type { S3Location } from "#core/storage/location.ts";
import { openStorage } from "#core/storage/open.ts";
import { translateS3Error } from "#core/storage/s3-errors.ts";
import { systemClock } from "#core/system.ts";
import { startMinistack } from "#local/ministack.ts";
import { storageContract } from "#test/contract/storage.ts";
import { startFaultProxy } from "#test/support/fault-proxy.ts";

const ministack = await startMinistack({ checkCredentials: true });
const { endpoint, region, accessKeyId, secretAccessKey } = ministack;
const credentials = { accessKeyId, secretAccessKey };
const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
const bucket = "encrypted-backups";
const key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

const open = (changes: Partial<S3Location>) =>
  openStorage(
    {
      ...{ backend: "s3", bucket, prefix: "backups", endpoint, region },
      ...{ access_key_id: accessKeyId, secret_access_key: secretAccessKey },
      ...changes,
    },
    { clock: systemClock },
  );

beforeAll(async () => {
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
});
afterAll(async () => {
  client.destroy();
  await ministack.stop();
});

// Conditional writes are what they are without.
storageContract("s3, encrypted by KMS", () => open({ encryption: "sse-kms", kms_key_id: key }));

const cases = [
  ["sse-s3", { encryption: "sse-s3" }, { ServerSideEncryption: "AES256" }],
  [
    "sse-kms with a key",
    { encryption: "sse-kms", kms_key_id: key },
    { ServerSideEncryption: "aws:kms", SSEKMSKeyId: key },
  ],
] as const;

describe.each(cases)("%s", (name, changes, expected) => {
  let storage: StorageBackend;
  beforeAll(async () => {
    storage = await open({ ...changes, prefix: name.replaceAll(" ", "-") });
  });
  afterAll(() => storage.close());

  const head = (object: string): Promise<HeadObjectCommandOutput> => {
    const Key = `${name.replaceAll(" ", "-")}/${object}`;
    return client.send(new HeadObjectCommand({ Bucket: bucket, Key }));
  };

  test("S7 is asked for with whole objects, created and replaced", async () => {
    await storage.createIfAbsent("created", Buffer.from("a"));
    await storage.put("replaced", Buffer.from("b"));
    expect(await head("created")).toMatchObject(expected);
    expect(await head("replaced")).toMatchObject(expected);
  });

  test.each([
    ["of one part", 1],
    ["of several parts", 20 * 1024 * 1024],
  ])("S7 is asked for with a stream %s", async (_, bytes) => {
    const stream = `stream-${bytes}`;
    const writer = await storage.createStream(stream);
    await writer.write(Buffer.alloc(bytes, 7));
    expect(await writer.commit()).toBe("created");
    expect(await head(stream)).toMatchObject(expected);
    expect((await storage.get(stream)).length).toBe(bytes);
  });
});

/** The headers of the requests that write `bytes` bytes as a stream: as they cross the network. */
async function sentHeaders(changes: Partial<S3Location>, bytes: number): Promise<string[]> {
  const proxy = await startFaultProxy(Number(new URL(endpoint).port));
  const requests: string[] = [];
  const matches = (piece: Buffer) => {
    const head = piece.toString("latin1").split("\r\n\r\n")[0]!;
    if (/^(PUT|POST) /.test(head)) requests.push(head.toLowerCase());
    return false;
  };
  proxy.set({ kind: "hold", matches });
  const storage = await open({ ...changes, endpoint: `http://${proxy.address}` });
  const writer = await storage.createStream(`sent-${requests.length}-${bytes}`);
  // The emulator refuses KMS without the id of a key; the requests say all the same what they do.
  await writer
    .write(Buffer.alloc(bytes))
    .then(() => writer.commit())
    .catch(() => writer.abort());
  await storage.close();
  await proxy.stop();
  return requests;
}

const encryptionOf = (head: string) =>
  head.split("\r\n").filter((line) => line.startsWith("x-amz-server-side-encryption"));

describe.each([
  ["one part", 1],
  ["several parts", 20 * 1024 * 1024],
])("a stream of %s", (_, bytes) => {
  const header = "x-amz-server-side-encryption";

  test("S7 asks for KMS with a bucket key, so that KMS is not asked for each object", async () => {
    const [first] = await sentHeaders({ encryption: "sse-kms", kms_key_id: key }, bytes);
    expect(encryptionOf(first!).toSorted()).toEqual([
      `${header}-aws-kms-key-id: ${key}`,
      `${header}-bucket-key-enabled: true`,
      `${header}: aws:kms`,
    ]);
  });

  test("S7 names no key where the account's own is meant", async () => {
    const [first] = await sentHeaders({ encryption: "sse-kms" }, bytes);
    expect(encryptionOf(first!).toSorted()).toEqual([
      `${header}-bucket-key-enabled: true`,
      `${header}: aws:kms`,
    ]);
  });

  test("S7 says nothing of encryption where nothing is configured", async () => {
    const requests = await sentHeaders({}, bytes);
    expect(requests.length).toBeGreaterThan(0);
    expect(requests.flatMap(encryptionOf)).toEqual([]);
  });
});

test("a key that S3 cannot use is named with what to do", () => {
  const refused = Object.assign(new Error(`Invalid keyId '${key}'`), {
    name: "KMS.NotFoundException",
    $metadata: { httpStatusCode: 400 },
  });
  expect(translateS3Error(refused, "create", "s3://bucket", "object")).toMatchObject({
    name: "InvalidRequestError",
    message: `s3://bucket: object: cannot create: KMS.NotFoundException (Invalid keyId '${key}')`,
    hint: expect.stringContaining("storage.kms_key_id"),
  });
});
