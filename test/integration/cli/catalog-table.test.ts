/** Backups with a DynamoDB table beside their bucket, as they are typed. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stringify } from "yaml";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { appendNumbered } from "#test/support/append.ts";
import { createTable, type TestTable } from "#test/support/dynamodb.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";

const { bootstrapServers } = kafkaForTests();
const emulator = s3ForTests();
const env = {
  AWS_ENDPOINT_URL: emulator.endpoint,
  AWS_REGION: emulator.region,
  AWS_ACCESS_KEY_ID: emulator.accessKeyId,
  AWS_SECRET_ACCESS_KEY: emulator.secretAccessKey,
};
let cluster: Cluster;
let table: TestTable;
let folder: string;
let topic: string;

beforeAll(async () => {
  cluster = await connectForTests();
  table = await createTable(emulator);
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-table-"));
  topic = await createTopic(cluster);
});
afterAll(async () => {
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

async function cli(...argv: string[]) {
  const io = fakeIo({ env });
  const exitCode = await run([...argv, "--format", "json"], io);
  return { exitCode, out: io.out(), err: io.err() };
}

async function configured(config: object): Promise<string> {
  const file = join(folder, `${randomName("config")}.yaml`);
  await writeFile(file, stringify(config));
  return file;
}

test("a table shows what was backed up; without it the folder alone restores all", async () => {
  const path = join(folder, "backups");
  const backup_id = "orders";
  const storage = { backend: "filesystem", path };
  const backup = await configured({
    ...{ mode: "backup", backup_id, storage, catalog: { table: table.location.table } },
    source: { bootstrap_servers: bootstrapServers, topics: { include: [topic] } },
  });
  for (const from of [0, 40]) {
    await appendNumbered(cluster, { topic, from, count: 40 });
    expect(await cli("backup", "--config", backup)).toMatchObject({ exitCode: exitCodes.done });
  }
  expect(await table.keys()).toEqual([
    "backup#orders lease#backup",
    "backup#orders manifest#00000001",
    "backup#orders manifest#00000002",
    expect.stringMatching(/^backup#orders run#\d{8}T\d{6}Z-/),
    expect.stringMatching(/^backup#orders run#\d{8}T\d{6}Z-/),
    "backups orders",
  ]);
  const withTable = await cli("list", "--path", path, "--table", table.location.table);
  const listed = JSON.parse(withTable.out);
  expect(listed).toMatchObject([{ backup_id, status: "ready", generation: 2, record_count: 80 }]);

  await table.drop();
  const alone = await cli("list", "--path", path);
  expect(JSON.parse(alone.out)).toMatchObject([{ ...listed[0], age_ms: expect.any(Number) }]);
  const restore = await configured({
    ...{ mode: "restore", backup_id, storage },
    target: { bootstrap_servers: bootstrapServers },
    restore: { topic_mapping: { [topic]: randomName("restored") } },
  });
  const restored = await cli("restore", "--config", restore);
  expect(JSON.parse(restored.out)).toMatchObject({ status: "done", report: { record_count: 80 } });
});

test("a table is told how restores begin and end", async () => {
  const path = join(folder, "restored");
  const backup_id = "restored";
  const storage = { backend: "filesystem", path };
  const { location, keys } = await createTable(emulator);
  const catalog = { table: location.table };
  const source = { bootstrap_servers: bootstrapServers, topics: { include: [topic] } };
  const backup = await configured({ mode: "backup", backup_id, storage, source });
  expect(await cli("backup", "--config", backup)).toMatchObject({ exitCode: exitCodes.done });
  const restoreInto = (target: string) =>
    configured({
      ...{ mode: "restore", backup_id, storage, catalog },
      target: { bootstrap_servers: bootstrapServers },
      restore: { topic_mapping: { [topic]: target } },
    });
  expect(await cli("restore", "--config", await restoreInto(randomName("whole")))).toMatchObject({
    exitCode: exitCodes.done,
  });
  await rm(join(path, backup_id, "topics"), { recursive: true });
  const torn = await restoreInto(randomName("torn"));
  expect((await cli("restore", "--config", torn)).exitCode).toBe(exitCodes.damaged);
  const known = await keys();
  const ids = known.flatMap((key) => /restore#(.+)$/.exec(key)?.[1] ?? []);
  expect(ids).toHaveLength(2);

  const ended = await cli("restore", "--config", torn, "--abandon", ids[1]!);
  expect(ended).toMatchObject({ exitCode: exitCodes.done });
  const described = async (...more: string[]) => {
    const { out } = await cli("describe", "--path", path, "--backup-id", backup_id, ...more);
    return JSON.parse(out).restores;
  };
  const alone = await described();
  expect(alone).toMatchObject([
    { restore_id: ids[0], status: "finished" },
    { restore_id: ids[1], status: "abandoned" },
  ]);
  // Of what the table knows to have ended no document is read.
  for (const id of ids) await writeFile(join(path, backup_id, "restores", id, "intent.json"), "{");
  expect(await described("--table", location.table)).toEqual(alone);
});

test("a table that is not there is named, with what to do", async () => {
  const backup = await configured({
    mode: "backup",
    backup_id: "absent",
    storage: { backend: "filesystem", path: join(folder, "absent") },
    catalog: { table: "no-such-table" },
    source: { bootstrap_servers: bootstrapServers, topics: { include: [topic] } },
  });
  const { exitCode, err } = await cli("backup", "--config", backup);
  expect(exitCode).toBe(exitCodes.usage);
  expect(err).toMatch(/table no-such-table: .*ResourceNotFoundException/);
  expect(err).toContain("string keys pk and sk");
});
