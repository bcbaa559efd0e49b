/**
 * The day the table is gone: a backup into a bucket with a table beside it, restores, snapshots;
 * then the table is dropped, and the command line does all of it with the bucket alone.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { appendNumbered } from "#test/support/append.ts";
import { createTable, type TestTable } from "#test/support/dynamodb.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { contentsOf } from "#test/support/oracle.ts";
import { s3ForTests } from "#test/support/s3.ts";

const { bootstrapServers } = kafkaForTests();
const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
const env = {
  AWS_ENDPOINT_URL: endpoint,
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: accessKeyId,
  AWS_SECRET_ACCESS_KEY: secretAccessKey,
};
const bucket = randomName("bucket");
const path = `s3://${bucket}/kafka`;
const backup_id = "orders";
const group = randomName("billing");
let cluster: Cluster;
let table: TestTable;
let folder: string;
let topic: string;

beforeAll(async () => {
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  cluster = await connectForTests();
  table = await createTable(s3ForTests());
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-dropped-"));
  topic = await createTopic(cluster);
});
afterAll(async () => {
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

async function cli(...argv: string[]) {
  const io = fakeIo({ env });
  const code = await run([...argv, "--format", "json"], io);
  const out = io.out();
  return { code, data: out === "" ? undefined : JSON.parse(out), err: io.err() };
}

async function configured(name: string, config: object): Promise<string> {
  const file = join(folder, `${name}-${randomName("config")}.yaml`);
  await writeFile(file, stringify(config));
  return file;
}

const storage = { backend: "s3", bucket, prefix: "kafka" };
const connection = { bootstrap_servers: bootstrapServers };
const catalog = () => ({ catalog: { table: table.location.table } });

const restoreFile = (target: string, restore: object, more: object = {}) =>
  configured("restore", {
    ...{ mode: "restore", backup_id, storage, target: connection, ...more },
    restore: { topic_mapping: { [topic]: target }, ...restore },
  });

async function commit(position: bigint) {
  const at = { topic, partition: 0, offset: position, leaderEpoch: -1, metadata: "" };
  await cluster.commitOffsets(group, [at]);
}

async function standing(target: string): Promise<bigint | undefined> {
  const { groups } = await cluster.committedOffsets([group]);
  return groups[0]?.offsets.find((at) => at.topic === target)?.offset;
}

test("with its table dropped, the command line restores, resets and lists with the bucket alone", async () => {
  const source = { ...connection, topics: { include: [topic] } };
  const file = await configured("backup", {
    ...{ mode: "backup", backup_id, storage, source, ...catalog() },
  });
  for (const from of [0, 40]) {
    await appendNumbered(cluster, { topic, from, count: 40 });
    await commit(BigInt(from + 30));
    expect(await cli("backup", "--config", file)).toMatchObject({ code: exitCodes.done });
  }
  const tabled = ["--path", path, "--table", table.location.table];
  const snapshot = await cli(
    ...["offset-rollback", "snapshot", "--groups", group, ...tabled],
    ...["--bootstrap-servers", bootstrapServers],
  );
  expect(snapshot).toMatchObject({ code: exitCodes.done });
  const before = randomName("before");
  const threePhases = await restoreFile(before, { consumer_groups: [group] }, catalog());
  expect(await cli("three-phase-restore", "--config", threePhases)).toMatchObject({
    code: exitCodes.done,
  });
  expect(await standing(before)).toBe(70n);

  const keys = await table.keys();
  expect(keys.filter((key) => key.startsWith("backup#orders restore#"))).toHaveLength(1);
  expect(keys.filter((key) => key.startsWith("snapshots "))).toHaveLength(3);
  const knownSnapshots = await cli("offset-rollback", "list", ...tabled);
  const known = await cli("describe", ...tabled, "--backup-id", backup_id);
  expect(known.data).toMatchObject({
    ...{ generation: 2, run_count: 2, totals: { record_count: 80 } },
    restores: [{ status: "finished", record_count: 80 }],
  });

  await table.drop();
  expect(await cli("describe", ...tabled, "--backup-id", backup_id)).toMatchObject({
    code: exitCodes.usage,
    err: expect.stringContaining("ResourceNotFoundException"),
  });
  const described = await cli("describe", "--path", path, "--backup-id", backup_id);
  expect(described).toEqual({ ...known, err: "" });
  const listed = await cli("offset-rollback", "list", "--path", path);
  expect(listed).toEqual({ ...knownSnapshots, err: "" });
  expect(listed.data).toHaveLength(3);

  const alone = randomName("alone");
  const restored = await cli("restore", "--config", await restoreFile(alone, {}));
  expect(restored.data).toMatchObject({ status: "done", report: { record_count: 80 } });
  const contents = await contentsOf([topic, alone]);
  expect(contents.get(`${topic}/0`)).toMatch(/^80 records /);
  expect(contents.get(`${alone}/0`)).toBe(contents.get(`${topic}/0`));

  const again = randomName("again");
  const reset = await restoreFile(again, { consumer_groups: [group] });
  expect(await cli("three-phase-restore", "--config", reset)).toMatchObject({
    code: exitCodes.done,
  });
  expect(await standing(again)).toBe(70n);
  const rolledBack = await cli(
    ...["offset-rollback", "rollback", "--path", path, "--bootstrap-servers", bootstrapServers],
    ...["--snapshot-id", snapshot.data.snapshot_id],
  );
  expect(rolledBack).toMatchObject({ code: exitCodes.done, data: { status: "done" } });
  expect(await standing(topic)).toBe(70n);
  expect(await standing(again)).toBeUndefined();
});
