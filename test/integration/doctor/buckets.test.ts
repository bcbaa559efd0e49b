/** What `doctor` finds of buckets, behind a proxy that makes a store of less worth out of a good one. */
import { once } from "node:events";
import { createServer, type OutgoingHttpHeaders, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { examine, linesOf, seenOf } from "#test/support/doctor.ts";
import { kafkaForTests, randomName } from "#test/support/kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";

const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
const credentials = { accessKeyId, secretAccessKey };
const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
const bucket = randomName("bucket");

interface Tampering {
  /** Takes headers out of requests, or changes them. */
  readonly ask?: (headers: OutgoingHttpHeaders) => void;
  readonly answer?: (headers: OutgoingHttpHeaders) => void;
  /** Answers in the store's place. */
  readonly refuse?: { readonly status: number; readonly code: string };
}

let tampering: Tampering = {};
let proxy: Server;
let proxyEndpoint: string;

beforeAll(async () => {
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  proxy = createServer((incoming, answer) => {
    const { ask, answer: change, refuse } = tampering;
    if (refuse !== undefined) {
      incoming.resume().once("end", () => {
        answer.writeHead(refuse.status, { "content-type": "application/xml" });
        answer.end(`<?xml version="1.0"?><Error><Code>${refuse.code}</Code></Error>`);
      });
      return;
    }
    const headers: OutgoingHttpHeaders = { ...incoming.headers };
    ask?.(headers);
    const outgoing = request(
      `${endpoint}${incoming.url}`,
      { method: incoming.method, headers },
      (reply) => {
        const answered: OutgoingHttpHeaders = { ...reply.headers };
        change?.(answered);
        answer.writeHead(reply.statusCode!, answered);
        reply.pipe(answer);
      },
    );
    outgoing.on("error", () => incoming.socket.destroy());
    incoming.pipe(outgoing);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  proxyEndpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
});

afterAll(() => {
  client.destroy();
  proxy.close();
});

beforeEach(() => {
  tampering = {};
});

/** A new backup in the bucket, of no topic: what is looked at is the bucket. */
function examineBucket(backup_id = randomName("backup")) {
  return examine({
    backup_id,
    connection: { bootstrap_servers: [kafkaForTests().bootstrapServers] },
    include: ["*"],
    storage: {
      ...{ backend: "s3", bucket, prefix: "some/prefix", endpoint: proxyEndpoint, region },
      ...{ access_key_id: accessKeyId, secret_access_key: secretAccessKey },
    },
  });
}

const ofStorage = (report: Awaited<ReturnType<typeof examineBucket>>) =>
  linesOf({ ...report, findings: report.findings.filter((one) => one.subject === "storage") });

test("a good bucket has no findings, and nothing is left in it", async () => {
  const backup_id = randomName("backup");
  const report = await examineBucket(backup_id);
  expect(ofStorage(report)).toEqual([]);
  expect(seenOf(report, "conditional-writes")).toBe("1 of 20 simultaneous writers of one key won");
  expect(report.checks.map(({ check }) => check)).not.toContain("space");
  const Prefix = `some/prefix/${backup_id}/`;
  const left = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix }));
  expect(left.Contents ?? []).toEqual([]);
});

test("C2: a store that ignores If-None-Match is found", async () => {
  tampering = { ask: (headers) => void delete headers["if-none-match"] };
  const report = await examineBucket();
  expect(ofStorage(report)).toEqual([
    expect.stringMatching(
      /^error conditional-writes-ignored: s3:.*20 of 20 simultaneous writers of one key won/,
    ),
  ]);
});

test.each([
  ["ahead of", 10],
  ["behind", -10],
])("a clock that is %s ours is found", async (side, minutes) => {
  tampering = {
    answer(headers) {
      const time = headers["last-modified"];
      if (typeof time !== "string") return;
      headers["last-modified"] = new Date(Date.parse(time) + minutes * 60_000).toUTCString();
    },
  };
  expect(ofStorage(await examineBucket())).toEqual([
    expect.stringMatching(
      `^warning clock-skew: the storage's clock is \\d+ s ${side} this machine's`,
    ),
  ]);
});

test("a request that S3 refuses for its time is one about the clock", async () => {
  tampering = { refuse: { status: 403, code: "RequestTimeTooSkewed" } };
  const report = await examineBucket();
  const finding = report.findings.find(({ check }) => check === "access");
  expect(finding).toMatchObject({
    code: "storage-denied",
    message: expect.stringContaining("RequestTimeTooSkewed"),
    remedy: expect.stringContaining("clock"),
  });
});

test("S5: a store that denies all is told, without its keys", async () => {
  tampering = { refuse: { status: 403, code: "AccessDenied" } };
  const report = await examineBucket();
  expect(ofStorage(report)).toContainEqual(
    expect.stringMatching(/^error storage-denied: cannot create an object: .*AccessDenied/),
  );
  expect(JSON.stringify(report)).not.toContain(secretAccessKey);
});
