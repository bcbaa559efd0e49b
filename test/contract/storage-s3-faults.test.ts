/** S3 behind a proxy that loses answers: the request arrives, what came of it is not heard. */
import { randomBytes } from "node:crypto";
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { defaultRetryPolicy, type RetryPolicy } from "#core/storage/retrying.ts";
import { systemClock } from "#core/system.ts";
import { startMinistack } from "#local/ministack.ts";
import { startFaultProxy } from "#test/support/fault-proxy.ts";
import {
  type Answer,
  type Fate,
  type HttpFaults,
  type Struck,
  startHttpFaults,
} from "#test/support/http-faults.ts";

const ministack = await startMinistack();
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const { endpoint, region } = ministack;
const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
const bucket = "kafka-backups";

let faults: HttpFaults;
let storage: StorageBackend;

beforeAll(async () => {
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  faults = await startHttpFaults(endpoint);
  storage = await openAt(faults.url, { ...defaultRetryPolicy, firstPauseMs: 0 });
});

function openAt(endpoint: string, policy: RetryPolicy): Promise<StorageBackend> {
  const { accessKeyId: access_key_id, secretAccessKey: secret_access_key } = credentials;
  const location = { bucket, prefix: "faults", endpoint, access_key_id, secret_access_key };
  return openStorage({ backend: "s3", ...location }, { clock: systemClock, policy });
}

afterAll(async () => {
  await storage.close();
  client.destroy();
  await faults.stop();
  await ministack.stop();
});

beforeEach(() => {
  faults.strike(() => false, "lost");
});

function refusal(status: number, code: string): Answer {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`;
  return { status, contentType: "application/xml", body };
}

const slowDown = refusal(503, "SlowDown");
const fates: [string, Fate][] = [
  ["a lost answer", "lost"],
  ["a conflict", refusal(409, "ConditionalRequestConflict")],
  ["SlowDown", slowDown],
];

const isPut = ({ method }: Struck) => method === "PUT";
const isPart = ({ url }: Struck) => /partNumber=/.test(url);
const isComplete = ({ method, url }: Struck) => method === "POST" && /uploadId=/.test(url);

describe("a create", () => {
  test.each(fates)("C2, C4: is created by us after %s", async (name, fate) => {
    const struck = faults.strike(isPut, fate);
    expect(await storage.createIfAbsent(`ours after ${name}`, Buffer.from("ours"))).toBe("created");
    expect(struck()).toBe(1);
    expect((await storage.get(`ours after ${name}`)).toString()).toBe("ours");
  });

  test("C4: whose answer was lost is another's when the content differs", async () => {
    await storage.createIfAbsent("theirs", Buffer.from("theirs"));
    faults.strike(isPut, "lost");
    expect(await storage.createIfAbsent("theirs", Buffer.from("ours"))).toBe("exists");
  });
});

describe.each([
  ["small", 1_000, isPut],
  ["multi-part", 20 * 1024 * 1024, isComplete],
])("the commit of a %s stream", (size, bytes, isCommit) => {
  test.each(fates)("C2, C4: is done by us after %s", async (name, fate) => {
    const key = `stream-${size}-${name}`;
    const body = randomBytes(bytes);
    const struck = faults.strike(isCommit, fate, 2);
    const writer = await storage.createStream(key);
    await writer.write(body);
    expect(await writer.commit()).toBe("created");
    expect(struck()).toBe(2);
    expect((await storage.get(key)).equals(body)).toBe(true);
  });

  test("C4: whose answer was lost is another's when another's object is there", async () => {
    const key = `stream-${size}-theirs`;
    const writer = await storage.createStream(key);
    await writer.write(randomBytes(bytes));
    await storage.createIfAbsent(key, Buffer.from("theirs"));
    faults.strike(isCommit, "lost");
    expect(await writer.commit()).toBe("exists");
    expect((await storage.get(key)).toString()).toBe("theirs");
  });
});

describe("parts", () => {
  test("C4: are sent again when their answers are lost or refused", async () => {
    for (const fate of ["lost", slowDown] as const) {
      const body = randomBytes(30 * 1024 * 1024);
      const key = fate === "lost" ? "parts-lost" : "parts-refused";
      const struck = faults.strike(isPart, fate, 3);
      const writer = await storage.createStream(key);
      for (let i = 0; i < body.length; i += 1_000_003) {
        await writer.write(body.subarray(i, i + 1_000_003));
      }
      expect(await writer.commit()).toBe("created");
      expect(struck()).toBe(3);
      expect((await storage.get(key)).equals(body)).toBe(true);
    }
  });

  test("C1: that never arrive fail the stream, which then leaves nothing", async () => {
    faults.strike(isPart, slowDown, Number.POSITIVE_INFINITY);
    const writer = await storage.createStream("parts-never");
    await writer.write(randomBytes(17 * 1024 * 1024));
    await expect(writer.commit()).rejects.toMatchObject({
      name: "ThrottledError",
      message: expect.stringContaining("SlowDown"),
    });
    await writer.abort();
    expect(await storage.head("parts-never")).toBeUndefined();
    const left = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    expect(left.Uploads ?? []).toEqual([]);
  });
});

test("a listing goes on where its answer was lost", async () => {
  const keys = Array.from({ length: 1_100 }, (_, i) => `listed/${String(i).padStart(4, "0")}`);
  await Promise.all(keys.map((key) => storage.put(key, Buffer.from("1"))));
  const struck = faults.strike(({ url }) => /continuation-token=/.test(url), "lost");
  const listed: string[] = [];
  for await (const { key } of storage.list("listed/")) listed.push(key);
  expect(struck()).toBe(1);
  expect(listed).toEqual(keys);
});

test("C3: connections that a gateway has forgotten cost one attempt, however many wait", async () => {
  const proxy = await startFaultProxy(Number(new URL(endpoint).port));
  const behind = await openAt(`http://${proxy.address}`, { ...defaultRetryPolicy, attemptsMax: 2 });
  const keys = Array.from({ length: 8 }, (_, i) => `kept/${i}`);
  await Promise.all(keys.map((key) => behind.put(key, Buffer.from(key))));
  proxy.set({ kind: "half-open" });
  proxy.set(undefined);
  expect((await behind.get("kept/0")).toString()).toBe("kept/0");
  await behind.close();
  await proxy.stop();
}, 120_000);

test.each(["InternalError", "ServiceUnavailable", "SlowDown"])(
  "a deletion whose answer tells %s of one key is repeated",
  async (code) => {
    const key = `deleted/${code}`;
    await storage.put(key, Buffer.from("1"));
    const error = `<Error><Key>faults/${key}</Key><Code>${code}</Code></Error>`;
    const body = `<?xml version="1.0"?><DeleteResult>${error}</DeleteResult>`;
    const partly = { status: 200, contentType: "application/xml", body };
    const struck = faults.strike(({ method }) => method === "POST", partly, 2);
    await storage.delete([key]);
    expect(struck()).toBe(2);
    expect(await storage.head(key)).toBeUndefined();
  },
);
