import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { Finding } from "#core/restore/findings.ts";
import { planRestore } from "#core/restore/plan.ts";
import { preflight, refuseErrors } from "#core/restore/preflight.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { connectForTests, createTopic, isKafka4OrLater, randomName } from "#test/support/kafka.ts";
import { ownSettings, recordsOfAge, sendOne } from "#test/support/restore-on-kafka.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import { type SyntheticPartition, syntheticBackup } from "#test/support/synthetic-backup.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster.disconnect());

interface Options {
  readonly request?: Partial<RestoreRequest>;
  readonly partitions?: SyntheticPartition[];
  readonly sourceConfig?: Record<string, string>;
}

/** Checks a restore of `orders` into `topic`. */
async function check(topic: string, { request, partitions, sourceConfig = {} }: Options = {}) {
  const backup = syntheticBackup();
  await backup.addRun({
    partitions: partitions ?? [{ segments: recordsOfAge(1000) }],
    topicConfig: sourceConfig,
  });
  const asked = requestOf({ topic_mapping: { orders: topic }, ...request });
  return preflight(cluster, await planRestore(backup, asked), asked, Date.now());
}

const codesOf = (findings: readonly Finding[]) =>
  findings.map(({ severity, code }) => `${severity} ${code}`);

describe("R4: a target topic that does not exist", () => {
  test("is planned with the source's partition count and configuration", async () => {
    const topic = randomName("preflight");
    const { findings, topics } = await check(topic, {
      partitions: [0, 1, 2].map((partition) => ({ partition, segments: recordsOfAge(1000) })),
      sourceConfig: { "cleanup.policy": "compact", "segment.bytes": "1048576" },
    });
    expect(findings).toEqual([]);
    expect(topics).toMatchObject([
      {
        target_topic: topic,
        target_topic_id: null,
        partition_count: 3,
        replication_factor: 1,
        config: { "cleanup.policy": "compact", "segment.bytes": "1048576" },
        settings_during: {
          "cleanup.policy": "delete",
          "compression.type": "producer",
          "retention.ms": "-1",
          "retention.bytes": "-1",
          "message.timestamp.type": "CreateTime",
          "message.timestamp.before.max.ms": "9223372036854775807",
          "message.timestamp.after.max.ms": "9223372036854775807",
        },
      },
    ]);
    // Kafka 4 no longer has it, and would refuse it.
    expect("message.timestamp.difference.max.ms" in topics[0]!.settings_during).toBe(
      !isKafka4OrLater,
    );
  });

  test("is not created by the checks", async () => {
    const topic = randomName("preflight");
    await check(topic);
    expect(await cluster.describeTopics([topic])).toEqual([]);
  });

  test("gets no settings that the target refuses, or that belong to the source cluster", async () => {
    const { findings, topics } = await check(randomName("preflight"), {
      sourceConfig: {
        "confluent.placement.constraints": "{}",
        "leader.replication.throttled.replicas": "0:1",
        "segment.bytes": "1048576",
      },
    });
    expect(topics[0]?.config).toEqual({ "segment.bytes": "1048576" });
    expect(codesOf(findings)).toEqual(["warning setting-dropped", "warning setting-dropped"]);
    const messages = findings.map(({ message }) => message).join("\n");
    expect(messages).toContain("confluent.placement.constraints");
    expect(messages).toContain("leader.replication.throttled.replicas=0:1");
  });

  test("gets no message format that was before record batches", async () => {
    const name = "message.format.version";
    for (const value of ["0.9.0", "0.10.2-IV0"]) {
      const sourceConfig = { [name]: value, "segment.bytes": "1048576" };
      const { findings, topics } = await check(randomName("preflight"), { sourceConfig });
      expect(topics[0]?.config).toEqual({ "segment.bytes": "1048576" });
      expect(findings).toMatchObject([
        { severity: "warning", code: "setting-dropped", message: expect.stringContaining("lose") },
      ]);
    }
  });

  test("that would delete what is restored at once is told of", async () => {
    const sourceConfig = { "retention.ms": "3600000" };
    const { findings, topics } = await check(randomName("preflight"), { sourceConfig });
    expect(codesOf(findings)).toEqual(["warning retention-kept"]);
    expect(topics[0]?.config).toEqual(sourceConfig);
  });

  test("gets as many replicas as there are brokers, and no more in sync", async () => {
    const backup = syntheticBackup();
    const partitions = [{ segments: recordsOfAge(1000) }];
    await backup.addRun({ partitions, topicConfig: { "min.insync.replicas": "2" } });
    const request = requestOf({ topic_mapping: { orders: randomName("preflight") } });
    const plan = await planRestore(backup, request);
    const topics = plan.topics.map((topic) => ({
      ...topic,
      source: { ...topic.source, replication_factor: 3 },
    }));
    const checked = await preflight(cluster, { ...plan, topics }, request, Date.now());
    expect(codesOf(checked.findings)).toEqual([
      "warning replication-factor-lowered",
      "warning min-insync-replicas-lowered",
    ]);
    expect(checked.topics[0]).toMatchObject({
      replication_factor: 1,
      config: { "min.insync.replicas": "1" },
    });
  });

  test("is an error where topics are not to be created", async () => {
    const { findings } = await check(randomName("preflight"), {
      request: { create_topics: false },
    });
    expect(codesOf(findings)).toEqual(["error target-missing"]);
    expect(() => refuseErrors(findings)).toThrow(
      expect.objectContaining({ name: "PreflightRefusedError" }),
    );
  });

  test("is an error where the target would not take it", async () => {
    const partitions = [{ partition: 0, segments: recordsOfAge(1000) }];
    // Kafka takes topic names that differ in `.` and `_` alone for the same metric.
    const taken = await createTopic(cluster, { prefix: "preflight_name" });
    const { findings } = await check(taken.replace("_", "."), { partitions });
    expect(codesOf(findings)).toEqual(["error create-refused"]);
    expect(findings[0]?.message).toContain("collide");
  });
});

describe("R4: a target topic that exists", () => {
  test("and is empty, with the right settings and partitions, finds nothing", async () => {
    const topic = await createTopic(cluster, { config: { "retention.ms": "-1" } });
    const { findings, topics } = await check(topic);
    expect(findings).toEqual([]);
    const [description] = await cluster.describeTopics([topic]);
    expect(topics[0]?.target_topic_id).toBe(description?.topicId);
  });

  test("and holds records is refused, unless that is consented to", async () => {
    const topic = await createTopic(cluster, { config: { "retention.ms": "-1" } });
    await sendOne(cluster, topic);
    const refused = await check(topic);
    expect(codesOf(refused.findings)).toEqual(["error target-not-empty"]);
    expect(() => refuseErrors(refused.findings)).toThrow(
      expect.objectContaining({ name: "TargetNotEmptyError" }),
    );
    const consented = await check(topic, { request: { allow_non_empty: true } });
    expect(codesOf(consented.findings)).toEqual(["warning target-not-empty"]);
    expect(() => refuseErrors(consented.findings)).not.toThrow();
  });

  test("and has too few partitions is refused with the command that adds them", async () => {
    const topic = await createTopic(cluster, { config: { "retention.ms": "-1" } });
    const partitions = [0, 1].map((partition) => ({ partition, segments: recordsOfAge(1000) }));
    const { findings } = await check(topic, { partitions });
    expect(findings).toMatchObject([
      {
        severity: "error",
        code: "too-few-partitions",
        remedy: expect.stringContaining(`--topic ${topic} --partitions 2`),
      },
    ]);
    expect(() => refuseErrors(findings)).toThrow(
      expect.objectContaining({ name: "PreflightRefusedError" }),
    );
  });

  test("and has more partitions is warned about", async () => {
    const config = { "retention.ms": "-1" };
    const topic = await createTopic(cluster, { partitionCount: 2, config });
    const { findings } = await check(topic);
    expect(codesOf(findings)).toEqual(["warning other-partition-count"]);
  });

  test("and would delete what is restored at once keeps its retention off", async () => {
    const config = { "retention.ms": "3600000", "retention.bytes": "1" };
    const topic = await createTopic(cluster, { config });
    const { findings, topics } = await check(topic);
    expect(codesOf(findings)).toEqual(["warning retention-kept", "warning retention-kept"]);
    expect(topics[0]?.settings_during).toMatchObject({ "retention.ms": "-1" });
  });

  test("and compacts only keeps no retention off", async () => {
    const config = { "cleanup.policy": "compact", "retention.ms": "3600000" };
    const topic = await createTopic(cluster, { config });
    const { findings } = await check(topic);
    expect(findings).toEqual([]);
  });

  test("and needs more replicas than it has is warned about", async () => {
    const config = { "retention.ms": "-1", "min.insync.replicas": "2" };
    const topic = await createTopic(cluster, { config });
    const { findings } = await check(topic);
    expect(codesOf(findings)).toEqual(["warning too-few-insync-replicas"]);
  });

  test("keeps all of its settings during the checks", async () => {
    const config = { "retention.ms": "3600000", "message.timestamp.type": "LogAppendTime" };
    const topic = await createTopic(cluster, { config });
    await check(topic, { sourceConfig: { "max.message.bytes": "5000000" } });
    expect(await ownSettings(cluster, topic)).toEqual(config);
  });
});
