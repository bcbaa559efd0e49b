/** S3 behind a proxy that loses answers: the request arrives, what came of it is not heard. */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { defaultRetryPolicy } from "#core/storage/retrying.ts";
import { systemClock } from "#core/system.ts";
import { startMinistack } from "#local/ministack.ts";

/** `lost`: done, then the connection breaks. A number: not done, answered with that status. */
type Fate = "passed" | "lost" | 409 | 503;

const ministack = await startMinistack();
const credentials = { accessKeyId: "test", secretAccessKey: "test" };
const { endpoint, region } = ministack;
const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
const bucket = "kafka-backups";

let fateOf: (message: IncomingMessage) => Fate = () => "passed";
const codes = { 409: "ConditionalRequestConflict", 503: "SlowDown" };

const proxy = createServer((incoming, answer) => {
  const fate = fateOf(incoming);
  if (typeof fate === "number") {
    incoming.resume().once("end", () => {
      answer.writeHead(fate, { "content-type": "application/xml" });
      answer.end(`<?xml version="1.0"?><Error><Code>${codes[fate]}</Code></Error>`);
    });
    return;
  }
  const { method, url, headers } = incoming;
  const outgoing = request(`${endpoint}${url}`, { method, headers }, (reply) => {
    if (fate === "lost") {
      reply.resume().once("end", () => incoming.socket.destroy());
      return;
    }
    answer.writeHead(reply.statusCode!, reply.headers);
    reply.pipe(answer);
  });
  outgoing.on("error", () => incoming.socket.destroy());
  incoming.pipe(outgoing);
});

let storage: StorageBackend;

beforeAll(async () => {
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  storage = await openStorage(
    {
      backend: "s3",
      bucket,
      prefix: "faults",
      endpoint: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
      access_key_id: credentials.accessKeyId,
      secret_access_key: credentials.secretAccessKey,
    },
    { clock: systemClock, policy: { ...defaultRetryPolicy, firstPauseMs: 0 } },
  );
});

afterAll(async () => {
  await storage.close();
  client.destroy();
  proxy.close();
  await ministack.stop();
});

beforeEach(() => {
  fateOf = () => "passed";
});

/** The first `count` requests that match meet `fate`; returns how many did. */
function strike(matches: (message: IncomingMessage) => boolean, fate: Fate, count = 1) {
  let struck = 0;
  fateOf = (message) => {
    if (!matches(message) || struck === count) return "passed";
    struck++;
    return fate;
  };
  return () => struck;
}

const isPut = ({ method }: IncomingMessage) => method === "PUT";
const isPart = ({ url }: IncomingMessage) => /partNumber=/.test(url!);
const isComplete = ({ method, url }: IncomingMessage) =>
  method === "POST" && /uploadId=/.test(url!);

describe("a create", () => {
  test.each<Fate>(["lost", 409, 503])("C2, C4: is created by us after %s", async (fate) => {
    const struck = strike(isPut, fate);
    expect(await storage.createIfAbsent(`ours-${fate}`, Buffer.from("ours"))).toBe("created");
    expect(struck()).toBe(1);
    expect((await storage.get(`ours-${fate}`)).toString()).toBe("ours");
  });

  test("C4: whose answer was lost is another's when the content differs", async () => {
    await storage.createIfAbsent("theirs", Buffer.from("theirs"));
    strike(isPut, "lost");
    expect(await storage.createIfAbsent("theirs", Buffer.from("ours"))).toBe("exists");
  });
});

describe.each([
  ["small", 1_000, isPut],
  ["multi-part", 20 * 1024 * 1024, isComplete],
])("the commit of a %s stream", (size, bytes, isCommit) => {
  test.each<Fate>(["lost", 409, 503])("C2, C4: is done by us after %s", async (fate) => {
    const key = `stream-${size}-${fate}`;
    const body = randomBytes(bytes);
    const struck = strike(isCommit, fate, 2);
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
    strike(isCommit, "lost");
    expect(await writer.commit()).toBe("exists");
    expect((await storage.get(key)).toString()).toBe("theirs");
  });
});

describe("parts", () => {
  test("C4: are sent again when their answers are lost or refused", async () => {
    for (const fate of ["lost", 503] as const) {
      const body = randomBytes(30 * 1024 * 1024);
      const struck = strike(isPart, fate, 3);
      const writer = await storage.createStream(`parts-${fate}`);
      for (let i = 0; i < body.length; i += 1_000_003) {
        await writer.write(body.subarray(i, i + 1_000_003));
      }
      expect(await writer.commit()).toBe("created");
      expect(struck()).toBe(3);
      expect((await storage.get(`parts-${fate}`)).equals(body)).toBe(true);
    }
  });

  test("C1: that never arrive fail the stream, which then leaves nothing", async () => {
    strike(isPart, 503, Number.POSITIVE_INFINITY);
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
  const struck = strike(({ url }) => /continuation-token=/.test(url!), "lost");
  const listed: string[] = [];
  for await (const { key } of storage.list("listed/")) listed.push(key);
  expect(struck()).toBe(1);
  expect(listed).toEqual(keys);
});
