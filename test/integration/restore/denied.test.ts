import { afterAll, beforeAll, expect, test } from "vitest";
import { planRestore } from "#core/restore/plan.ts";
import { preflight } from "#core/restore/preflight.ts";
import { createTopic, randomName } from "#test/support/kafka.ts";
import type { Operation } from "#test/support/kafka-admin.ts";
import { type KafkaWithAcls, startKafkaWithAcls } from "#test/support/kafka-with-acls.ts";
import { recordsOfAge } from "#test/support/restore-on-kafka.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import { syntheticBackup } from "#test/support/synthetic-backup.ts";

let kafka: KafkaWithAcls;

beforeAll(async () => {
  kafka = await startKafkaWithAcls();
});
afterAll(async () => {
  await kafka?.stop();
});

const grant = (topic: string, ...operations: Operation[]) => kafka.grant({ topic }, ...operations);

/** Severity, code and message of each finding of a restore of `orders` into `topic`. */
async function findingsFor(topic: string): Promise<string[]> {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: recordsOfAge(1000) }] });
  const request = requestOf({ topic_mapping: { orders: topic } });
  const plan = await planRestore(backup, request);
  const { findings } = await preflight(kafka.limited, plan, request, Date.now());
  return findings.map(({ severity, code, message }) => `${severity} ${code}: ${message}`);
}

test("R4: credentials that may not know of a topic are found before anything is written", async () => {
  const topic = randomName("denied");
  expect(await findingsFor(topic)).toEqual([expect.stringMatching(/^error describe-denied: /)]);
});

test("R4: credentials that may not create a topic are found before anything is written", async () => {
  const topic = randomName("denied");
  await grant(topic, "DESCRIBE");
  expect(await findingsFor(topic)).toEqual([expect.stringMatching(/^error create-denied: /)]);
  expect(await kafka.admin.describeTopics([topic])).toEqual([]);
});

test("R4: each operation that the credentials lack on the topic is named", async () => {
  const topic = await createTopic(kafka.admin, { config: { "retention.ms": "-1" } });
  await grant(topic, "DESCRIBE");
  expect(await findingsFor(topic)).toEqual([
    expect.stringMatching(/^error operation-denied: .*WRITE/),
    expect.stringMatching(/^error operation-denied: .*READ/),
    expect.stringMatching(/^error settings-denied: /),
  ]);
});

test("R4: settings that may not be altered are an error where records would be lost", async () => {
  const topic = await createTopic(kafka.admin, { config: { "cleanup.policy": "compact" } });
  await grant(topic, "READ", "WRITE", "DESCRIBE_CONFIGS");
  const findings = await findingsFor(topic);
  expect(findings).toContainEqual(
    expect.stringMatching(/^error setting-unchangeable: cleanup.policy=compact/),
  );
  expect(findings).toContainEqual(
    expect.stringMatching(/^warning setting-unchangeable: segment.ms=/),
  );
});

test("R4: settings that may not be altered are warnings where none is lost", async () => {
  const config = { "retention.ms": "-1" };
  const topic = await createTopic(kafka.admin, { config });
  await grant(topic, "READ", "WRITE", "DESCRIBE_CONFIGS");
  const findings = await findingsFor(topic);
  expect(findings.length).toBeGreaterThan(0);
  expect(findings.filter((finding) => !finding.startsWith("warning setting-unchangeable"))).toEqual(
    [],
  );
});

test("R4: credentials that may do all that is needed find nothing", async () => {
  const topic = await createTopic(kafka.admin, { config: { "retention.ms": "-1" } });
  await grant(topic, "READ", "WRITE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS");
  expect(await findingsFor(topic)).toEqual([]);
});
