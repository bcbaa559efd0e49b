/** The whole way from a cluster into a bucket and back, with segments of several parts. */
import { randomBytes } from "node:crypto";
import { CreateBucketCommand, HeadObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeBackup } from "#core/describe/describe.ts";
import { listBackups } from "#core/describe/list.ts";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";
import { runValidation } from "#core/validate/run.ts";
import { append, appendNumbered } from "#test/support/append.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";

const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
const credentials = { accessKeyId, secretAccessKey };
const bucket = randomName("bucket");
const prefix = "some/prefix";
const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
let cluster: Cluster;
let storage: StorageBackend;
let engine: TestEngine;
let topic: string;

beforeAll(async () => {
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  const keys = { access_key_id: accessKeyId, secret_access_key: secretAccessKey };
  const location = { backend: "s3" as const, bucket, prefix, endpoint, region, ...keys };
  storage = await openStorage(location, { clock: systemClock });
  cluster = await connectForTests();
  topic = await createTopic(cluster, { partitionCount: 2 });
  // 24 MiB that no codec makes smaller: three parts of 8 MiB and more.
  for (let i = 0; i < 32; i++) {
    const record = { timestamp: BigInt(Date.now()), key: null, value: randomBytes(768 * 1024) };
    await append(cluster, { topic, partition: 0 }, encodeBatch([record], { codec: "none" }));
  }
  await appendNumbered(cluster, { topic, partition: 1, from: 0, count: 1_000, codec: "zstd" });
  engine = testEngine(cluster, { storage });
});

afterAll(async () => {
  client.destroy();
  await Promise.all([storage.close(), cluster.disconnect()]);
});

test("F2 a backup in a bucket is written in parts, sound, listed, and restored whole", async () => {
  const first = await engine.backup([topic]);
  expect(first).toMatchObject({ status: "done", record_count: 1_032, segment_count: 2 });
  const keys = (await collect(storage.list(`${engine.backupId}/topics/`))).map(({ key }) => key);
  const segment = keys.find((key) => key.includes("partition=0") && key.endsWith(".zst"))!;
  const head = await client.send(
    new HeadObjectCommand({ Bucket: bucket, Key: `${prefix}/${segment}` }),
  );
  // The ETag of an object that came in parts ends in their number.
  expect(Number(/-(\d+)"$/.exec(head.ETag!)?.[1])).toBeGreaterThanOrEqual(3);

  await appendNumbered(cluster, { topic, partition: 1, from: 1_000, count: 10 });
  expect(await engine.backup([topic])).toMatchObject({ status: "done", record_count: 10 });

  const backups = await collect(listBackups({ ...engine, clock: systemClock }, noDeadline));
  expect(backups).toMatchObject([{ backup_id: engine.backupId, record_count: 1_042 }]);
  const about = { backup_id: engine.backupId, runs_max: 10 };
  const described = await describeBackup(engine, about, noDeadline);
  expect(described).toMatchObject({ generation: 2, run_count: 2, gap_count: 0 });
  const deep = { backup_id: engine.backupId, level: "deep" } as const;
  const { findings } = await runValidation(engine, deep, noDeadline);
  expect(findings.filter(({ severity }) => severity !== "info")).toEqual([]);

  const restored = randomName("restored");
  expect(await engine.restore({ [topic]: restored })).toMatchObject({ status: "done" });
  const contents = await contentsOf([topic, restored]);
  expect(contents.get(`${topic}/0`)).toMatch(/^32 records /);
  expect(contents.get(`${topic}/1`)).toMatch(/^1010 records /);
  for (const partition of [0, 1]) {
    const source = contents.get(`${topic}/${partition}`);
    expect(contents.get(`${restored}/${partition}`)).toBe(source);
  }
  const again = await engine.restore({ [topic]: restored });
  expect(again.status).toBe("already_done");
});
