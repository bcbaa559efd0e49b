import { randomBytes } from "node:crypto";
import {
  CreateBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import type { S3Location } from "#core/storage/location.ts";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";
import { startMinistack } from "#local/ministack.ts";
import { storageContract } from "#test/contract/storage.ts";

const ministack = await startMinistack({ checkCredentials: true });
const credentials = {
  accessKeyId: ministack.accessKeyId,
  secretAccessKey: ministack.secretAccessKey,
};
const { endpoint, region } = ministack;
const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
const bucket = "kafka-backups";

const location: S3Location = {
  backend: "s3",
  bucket,
  prefix: "some/prefix",
  endpoint,
  region,
  access_key_id: credentials.accessKeyId,
  secret_access_key: credentials.secretAccessKey,
};

const open = (changes: Partial<S3Location> = {}) =>
  openStorage({ ...location, ...changes }, { clock: systemClock });

beforeAll(async () => {
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
});

afterAll(async () => {
  client.destroy();
  await ministack.stop();
});

storageContract("s3", () => open());

storageContract("s3, at the root of a bucket", () => open({ prefix: "" }));

describe("s3 alone", () => {
  let storage: StorageBackend;

  beforeAll(async () => {
    storage = await open();
  });
  afterAll(() => storage.close());

  test("keeps below its prefix, and sees nothing beside it", async () => {
    await storage.put("inside/object", Buffer.from("1"));
    const key = "some/prefix/inside/object";
    const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    expect(head.ContentLength).toBe(1);
    const sibling = await open({ prefix: "some/prefix-of-another" });
    await sibling.put("beside", Buffer.from("1"));
    for await (const { key } of storage.list("")) expect(key).not.toContain("beside");
    for await (const { key } of sibling.list("")) expect(key).toBe("beside");
    await sibling.close();
  });

  test("leaves no incomplete upload, be it committed, aborted or too late", async () => {
    const bytes = randomBytes(17 * 1024 * 1024);
    for (const key of ["upload/taken", "upload/taken", "upload/free"]) {
      const writer = await storage.createStream(key);
      await writer.write(bytes);
      await writer.commit();
    }
    const writer = await storage.createStream("upload/aborted");
    await writer.write(bytes);
    await writer.abort();
    const left = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    expect(left.Uploads ?? []).toEqual([]);
  });

  test("stores a stream of exactly whole parts", async () => {
    const bytes = randomBytes(16 * 1024 * 1024);
    const writer = await storage.createStream("exact/16-mib");
    await writer.write(bytes);
    expect(await writer.commit()).toBe("created");
    expect((await storage.get("exact/16-mib")).equals(bytes)).toBe(true);
  });

  describe("names what was refused, without the secret:", () => {
    let key: { access_key_id: string; secret_access_key: string };

    beforeAll(async () => {
      key = await createUserWithoutRights("nobody");
    });

    test.each([
      ["a user without rights", "AccessDenied", {}],
      ["a wrong secret", "SignatureDoesNotMatch", { secret_access_key: "not-the-secret" }],
      ["an unknown key", "InvalidAccessKeyId", { access_key_id: "AKIAUNKNOWN0000" }],
    ])("%s", async (_name, code, changes: Partial<S3Location>) => {
      const wrong = { ...key, ...changes };
      const denied = await open(wrong);
      const attempts = [
        () => denied.createIfAbsent("denied", Buffer.from("1")),
        () => denied.put("denied", Buffer.from("1")),
        () => denied.get("denied"),
        () => denied.getRange("denied", 0, 10),
        () => denied.delete(["denied"]),
        () => denied.list("denied")[Symbol.asyncIterator]().next(),
      ];
      for (const attempt of attempts) {
        const error = await rejectionOf(attempt());
        expect(error).toMatchObject({ name: "AccessDeniedError" });
        expect(error.message).toContain("denied");
        expect(error.message).toContain(code);
        expect(error.message + error.hint).not.toContain(wrong.secret_access_key);
      }
      // S3 answers HEAD without a body, and so without a code.
      expect(await rejectionOf(denied.head("denied"))).toMatchObject({ name: "AccessDeniedError" });
      await denied.close();
    });
  });

  test("says that a bucket does not exist", async () => {
    const missing = await open({ bucket: "no-such-bucket" });
    const expected = {
      name: "InvalidRequestError",
      message: expect.stringContaining("NoSuchBucket"),
      hint: expect.stringContaining("bucket"),
    };
    await expect(missing.put("a", Buffer.from("1"))).rejects.toMatchObject(expected);
    await expect(missing.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(expected);
    await missing.close();
  });

  test("gives up on an endpoint that nobody serves, after repeating", async () => {
    const policy = { attemptsMax: 3, firstPauseMs: 1, pauseMsMax: 1, totalMsMax: 5_000 };
    const nobody = await openStorage(
      { ...location, endpoint: "http://127.0.0.1:1" },
      { clock: systemClock, policy },
    );
    await expect(nobody.get("a")).rejects.toMatchObject({
      name: "StorageUnavailableError",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    await nobody.close();
  });
});

async function rejectionOf(promise: Promise<unknown>): Promise<BackupError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BackupError);
  return error as BackupError;
}

/** The emulator takes its root user's word: the signature is not looked at. */
async function iam(parameters: Record<string, string>): Promise<string> {
  const answer = await fetch(endpoint, {
    method: "POST",
    headers: {
      authorization:
        `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/20260101/${region}/iam/` +
        "aws4_request, SignedHeaders=host, Signature=0",
    },
    body: new URLSearchParams({ Version: "2010-05-08", ...parameters }),
  });
  const text = await answer.text();
  expect(answer.ok, text).toBe(true);
  return text;
}

async function createUserWithoutRights(name: string) {
  await iam({ Action: "CreateUser", UserName: name });
  const answer = await iam({ Action: "CreateAccessKey", UserName: name });
  return {
    access_key_id: /<AccessKeyId>(.*)<\/AccessKeyId>/.exec(answer)![1]!,
    secret_access_key: /<SecretAccessKey>(.*)<\/SecretAccessKey>/.exec(answer)![1]!,
  };
}
