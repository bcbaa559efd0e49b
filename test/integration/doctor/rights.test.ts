/** What `doctor` finds of rights, on a Kafka whose authorizer lets one user do what is granted. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { examine, linesOf, seenOf } from "#test/support/doctor.ts";
import { createTopic, randomName } from "#test/support/kafka.ts";
import { type KafkaWithAcls, startKafkaWithAcls } from "#test/support/kafka-with-acls.ts";
import { recordsOfAge } from "#test/support/restore-on-kafka.ts";
import { syntheticBackup } from "#test/support/synthetic-backup.ts";

let kafka: KafkaWithAcls;
let folder: string;

beforeAll(async () => {
  kafka = await startKafkaWithAcls();
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-doctor-"));
});
afterAll(async () => {
  await kafka?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** A backup of one topic of these credentials. */
function examineBackup(topic: string) {
  return examine({
    backup_id: randomName("backup"),
    connection: kafka.limitedConnection,
    include: [topic],
    storage: { backend: "filesystem", path: folder },
  });
}

// In this order: the last one grants what counts for the whole cluster.
describe("a backup", () => {
  test("K7: of a topic that may not be seen says so, where a list shows it as absent", async () => {
    const topic = await createTopic(kafka.admin);
    expect(linesOf(await examineBackup(topic))).toContainEqual(
      expect.stringMatching(`^error describe-denied: whether topic ${topic} exists is not known`),
    );
  });

  test("K7: of a topic that may only be seen names each operation that is lacking", async () => {
    const topic = await createTopic(kafka.admin);
    await kafka.grant({ topic }, "DESCRIBE");
    const report = await examineBackup(topic);
    expect(linesOf(report)).toEqual([
      `error operation-denied: the credentials lack READ on topic ${topic}, needed to read its records`,
      `error operation-denied: the credentials lack DESCRIBE_CONFIGS on topic ${topic}, needed to keep its settings for a restore`,
      expect.stringMatching(/^warning groups-hidden: .*lack DESCRIBE on the cluster$/),
      expect.stringMatching(/^info size-unknown: .* are free; /),
    ]);
    expect(report.findings[0]?.remedy).toBe(`Grant READ on topic ${topic}.`);
  });

  test("K7: names a group that the credentials may not describe", async () => {
    const topic = await createTopic(kafka.admin);
    const group = randomName("group");
    const at = { topic, partition: 0 };
    await kafka.admin.commitOffsets(group, [{ ...at, offset: 0n, leaderEpoch: -1, metadata: "" }]);
    await kafka.grant({ topic }, "READ", "DESCRIBE_CONFIGS");
    await kafka.grant("cluster", "DESCRIBE");
    const ofGroup = (line: string) => line.includes(group);
    expect(linesOf(await examineBackup(topic)).filter(ofGroup)).toEqual([
      expect.stringMatching(
        `^warning group-unreadable: the offsets of group "${group}" .*AUTHORIZ`,
      ),
    ]);
    await kafka.grant({ group }, "DESCRIBE");
    const report = await examineBackup(topic);
    expect(linesOf(report).filter(ofGroup)).toEqual([]);
    expect(linesOf(report).filter((line) => !line.includes("group-unreadable"))).toEqual([]);
    expect(seenOf(report, "topics")).toBe("1 topics with 1 partitions selected");
    expect(seenOf(report, "space")).toMatch(/ by what the brokers hold of the topics$/);
  });
});

describe("a restore", () => {
  let backup_id: string;

  beforeEach(async () => {
    backup_id = randomName("backup");
    const backup = syntheticBackup(openFilesystem(folder), backup_id);
    await backup.addRun({ partitions: [{ segments: recordsOfAge(1_000) }] });
  });

  const examineRestore = (target: string, restore: object = {}) =>
    examine({
      backup_id,
      connection: kafka.limitedConnection,
      include: ["orders"],
      storage: { backend: "filesystem", path: folder },
      restore: { topic_mapping: { orders: target }, ...restore },
    });

  test("R4: names what the credentials lack on a topic that is there, and creates nothing", async () => {
    const topic = await createTopic(kafka.admin, { config: { "retention.ms": "-1" } });
    await kafka.grant({ topic }, "DESCRIBE");
    const lines = linesOf(await examineRestore(topic));
    expect(lines).toContainEqual(expect.stringMatching(/^error operation-denied: .*WRITE/));
    expect(lines).toContainEqual(expect.stringMatching(/^error settings-denied: /));
    await kafka.grant({ topic }, "READ", "WRITE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS");
    const report = await examineRestore(topic);
    expect(linesOf(report)).toEqual([]);
    expect(seenOf(report, "restore")).toBe("1 topics to restore from generation 1");
  });

  test("R4: names a topic that the credentials may not create", async () => {
    const topic = randomName("denied");
    await kafka.grant({ topic }, "DESCRIBE");
    const lines = linesOf(await examineRestore(topic));
    expect(lines).toEqual([expect.stringMatching(/^error create-denied: /)]);
    expect(await kafka.admin.describeTopics([topic])).toEqual([]);
  });

  test("R8: names what the credentials lack on a group, until all is granted", async () => {
    const topic = await createTopic(kafka.admin, { config: { "retention.ms": "-1" } });
    await kafka.grant({ topic }, "READ", "WRITE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS");
    const group = randomName("group");
    const restore = { consumer_groups: [group], reset_consumer_offsets: true };
    const lacks = (operation: string) => `the credentials lack ${operation} on group "${group}"`;
    expect(linesOf(await examineRestore(topic, restore))).toEqual([
      `error group-operation-denied: ${lacks("DESCRIBE")}, to see where it stands`,
      `error group-operation-denied: ${lacks("READ")}, to commit its offsets`,
      `warning group-operation-denied: ${lacks("DELETE")}, to remove offsets when a reset is rolled back`,
    ]);
    await kafka.grant({ group }, "READ");
    expect(linesOf(await examineRestore(topic, restore))).toEqual([
      expect.stringContaining(lacks("DELETE")),
    ]);
    await kafka.grant({ group }, "DELETE");
    expect(linesOf(await examineRestore(topic, restore))).toEqual([]);
  });

  test("a pattern of groups that matches none is found", async () => {
    const topic = await createTopic(kafka.admin, { config: { "retention.ms": "-1" } });
    await kafka.grant({ topic }, "READ", "WRITE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS");
    const restore = { consumer_groups: ["shipping-*"], reset_consumer_offsets: true };
    expect(linesOf(await examineRestore(topic, restore))).toEqual([
      'error no-group: no group of the backup matches "shipping-*" of consumer_groups',
    ]);
  });
});

test("S5: neither report nor text holds a secret, also where the login is refused", async () => {
  const password = "not-the-right-horse";
  const report = await examine({
    backup_id: "nightly",
    connection: { ...kafka.limitedConnection, sasl_password: password },
    include: ["orders"],
    storage: { backend: "filesystem", path: folder },
  });
  expect(linesOf(report)).toEqual([
    expect.stringMatching(/^error bootstrap-refused: .*refused SASL PLAIN login of user "limited"/),
  ]);
  expect(report.checks.filter(({ status }) => status === "skipped")).not.toEqual([]);
  expect(JSON.stringify(report)).not.toContain(password);
});

test("the command exits 0 where there is nothing to mend, with a line for each check", async () => {
  const topic = await createTopic(kafka.admin);
  const file = join(folder, "backup.yaml");
  const config = {
    ...{ mode: "backup", backup_id: randomName("backup") },
    source: { bootstrap_servers: kafka.bootstrapServers, topics: { include: [topic] } },
    storage: { backend: "filesystem", path: folder },
  };
  await writeFile(file, JSON.stringify(config));
  const io = fakeIo();
  const exitCode = await run(["doctor", "--config", file], io);
  const stdout = io.out();
  expect(stdout).toMatch(/^source +brokers +ok +1 of 1 brokers reached as advertised, cluster /m);
  expect(stdout).toMatch(/^source +topics +ok +1 topics with 1 partitions selected /m);
  expect(stdout).toMatch(/^storage +conditional-writes +ok +1 of 20 simultaneous writers/m);
  expect(stdout).toMatch(/^Nothing to mend\.$/m);
  expect([exitCode, io.err()]).toEqual([exitCodes.done, ""]);
});
