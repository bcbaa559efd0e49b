/** What the credentials may not see or read must not cost more than itself. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exitCodes } from "#core/errors.ts";
import { appendNumbered } from "#test/support/append.ts";
import { endCommands, startCommand } from "#test/support/command-runs.ts";
import { testEngine } from "#test/support/engine.ts";
import { createTopic, randomName } from "#test/support/kafka.ts";
import type { Operation } from "#test/support/kafka-admin.ts";
import { type KafkaWithAcls, startKafkaWithAcls } from "#test/support/kafka-with-acls.ts";

let kafka: KafkaWithAcls;

beforeAll(async () => {
  kafka = await startKafkaWithAcls();
});
afterAll(async () => {
  endCommands();
  await kafka?.stop();
});

async function topicOf(count: number, ...operations: Operation[]): Promise<string> {
  const topic = await createTopic(kafka.admin);
  await appendNumbered(kafka.admin, { topic, from: 0, count });
  await kafka.grant({ topic }, ...operations);
  return topic;
}

const denied = (topic: string, right: string) => ({
  topic,
  partition: 0,
  error: "AccessDeniedError",
  message: expect.stringContaining(`the credentials lack ${right} on topic ${topic}`),
});

test("K7 a topic that may not be read, or its settings, is named; the others are backed up", async () => {
  const good = await topicOf(30, "DESCRIBE", "DESCRIBE_CONFIGS", "READ");
  const withoutSettings = await topicOf(20, "DESCRIBE", "READ");
  const unreadable = await topicOf(10, "DESCRIBE", "DESCRIBE_CONFIGS");
  const engine = testEngine(kafka.limited);

  const result = await engine.backup([good, withoutSettings, unreadable]);
  expect(result).toMatchObject({ status: "done_with_gaps", record_count: 30 });
  expect(result.failed).toMatchObject([
    denied(withoutSettings, "DescribeConfigs"),
    denied(unreadable, "Read"),
  ]);
  const restored = await testEngine(kafka.admin, engine).restore({
    [good]: randomName("restored"),
  });
  expect(restored.report.record_count).toBe(30n);
});

test("K7 a backup by the command ends with 3, and names what was denied", async () => {
  const good = await topicOf(30, "DESCRIBE", "DESCRIBE_CONFIGS", "READ");
  const unreadable = await topicOf(10, "DESCRIBE", "DESCRIBE_CONFIGS");
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-denied-"));
  try {
    const run = startCommand("backup", {
      ...{ mode: "backup", backup_id: "denied", storage: { backend: "filesystem", path: folder } },
      source: { ...kafka.limitedConnection, topics: { include: [good, unreadable] } },
    });
    const { code, stdout, stderr } = await run.ended;
    expect(code, stderr).toBe(exitCodes.doneWithGaps);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ status: "done_with_gaps", record_count: 30 },
      failed: [denied(unreadable, "Read")],
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("K7 a topic that is denied from now on keeps what was backed up of it before", async () => {
  const good = await topicOf(5, "DESCRIBE", "DESCRIBE_CONFIGS", "READ");
  const later = await createTopic(kafka.admin);
  await appendNumbered(kafka.admin, { topic: later, from: 0, count: 7 });
  const engine = testEngine(kafka.admin);
  await engine.backup([good, later]);
  await kafka.grant({ topic: later }, "DESCRIBE", "READ");

  const result = await testEngine(kafka.limited, engine).backup([good, later]);
  expect(result.failed).toMatchObject([denied(later, "DescribeConfigs")]);
  const restored = await engine.restore({ [later]: randomName("restored") });
  expect(restored.report.record_count).toBe(7n);
});
