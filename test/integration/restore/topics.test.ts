import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { abandonRestore } from "#core/restore/abandon.ts";
import { beginRestore } from "#core/restore/begin.ts";
import type { RestoreIntent } from "#core/restore/documents.ts";
import { partitionRequests, restoreWhole } from "#core/restore/partition-runs.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { finishTopic, prepareTopic } from "#core/restore/topics.ts";
import { deadlineAt } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { connectForTests, createTopic, isKafka4OrLater, randomName } from "#test/support/kafka.ts";
import { ownSettings, recordsOfAge, restoreDepsOn } from "#test/support/restore-on-kafka.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import { syntheticBackup } from "#test/support/synthetic-backup.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster.disconnect());

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const noDeadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);

interface Options {
  readonly sourceConfig?: Record<string, string>;
  readonly ageMs?: number;
  readonly request?: Partial<RestoreRequest>;
}

/** A restore of `orders` into `topic` that has its intent and nothing more. */
async function beginInto(topic: string, options: Options = {}) {
  const backup = syntheticBackup();
  await backup.addRun({
    partitions: [{ segments: recordsOfAge(options.ageMs ?? 1000) }],
    topicConfig: options.sourceConfig ?? {},
  });
  const request = requestOf({ topic_mapping: { orders: topic }, ...options.request });
  const begun = await beginRestore(restoreDepsOn(cluster, backup), request, false);
  if (begun.status !== "begun") throw new Error(begun.status);
  return { backup, intent: begun.intent };
}

/** The steps on the target topic, each with nothing but what is stored, as a new process has. */
function stepsOf({ backup, intent }: Awaited<ReturnType<typeof beginInto>>) {
  const fresh = () => ({
    deps: restoreDepsOn(cluster, backup),
    record: new RestoreRecord(backup.storage, intent.backup_id, intent.restore_id),
    plan: intent.topics[0]!,
  });
  const prepare = () => {
    const { deps, record, plan } = fresh();
    return prepareTopic(deps, record, plan);
  };
  return {
    prepare,
    finish: async () => {
      const { deps, record, plan } = fresh();
      const requests = partitionRequests(intent, plan, await prepare(), 5000);
      const results = [];
      for (const request of requests) {
        results.push((await restoreWhole(deps, request, noDeadline))!);
      }
      return finishTopic(deps, record, plan, results, ["broker:9092"]);
    },
    abandon: () => abandonRestore(fresh().deps, idsOf(intent), noDeadline),
  };
}

const idsOf = ({ backup_id, restore_id }: RestoreIntent) => ({ backup_id, restore_id });

describe("R5: temporary settings", () => {
  const config = {
    "cleanup.policy": "compact",
    "compression.type": "gzip",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "2000",
    "retention.ms": String(10 * dayMs),
    "segment.ms": String(dayMs),
  };
  const during = {
    "cleanup.policy": "delete",
    "compression.type": "producer",
    "message.timestamp.type": "CreateTime",
    // Kafka 3 does not bound it by default.
    ...(isKafka4OrLater ? { "message.timestamp.after.max.ms": "9223372036854775807" } : {}),
    "max.message.bytes": "1048588",
    "retention.ms": "-1",
    "segment.ms": "9223372036854775807",
  };

  test("of a topic that was there are put back, each to its own value or to none", async () => {
    const topic = await createTopic(cluster, { config });
    const steps = stepsOf(await beginInto(topic));
    await steps.prepare();
    expect(await ownSettings(cluster, topic)).toEqual(during);
    expect(await steps.finish()).toMatchObject({ kept: [] });
    expect(await ownSettings(cluster, topic)).toEqual(config);
  });

  test("are put back after a crash by an attempt that finds them changed", async () => {
    const topic = await createTopic(cluster, { config });
    const begun = await beginInto(topic);
    await stepsOf(begun).prepare();
    // The next attempt knows nothing but what is stored.
    await stepsOf(begun).prepare();
    expect(await ownSettings(cluster, topic)).toEqual(during);
    await stepsOf(begun).finish();
    await stepsOf(begun).finish();
    expect(await ownSettings(cluster, topic)).toEqual(config);
  });

  test("are not set again once they were put back", async () => {
    const topic = await createTopic(cluster, { config });
    const begun = await beginInto(topic);
    await stepsOf(begun).finish();
    await stepsOf(begun).prepare();
    expect(await ownSettings(cluster, topic)).toEqual(config);
  });

  test("of a topic that the restore made give way to the source's configuration", async () => {
    const topic = randomName("made");
    const sourceConfig = { "cleanup.policy": "compact", "segment.bytes": "1048576" };
    const steps = stepsOf(await beginInto(topic, { sourceConfig }));
    const target = await steps.prepare();
    expect(target).toMatchObject({ created: true, topic });
    expect(await ownSettings(cluster, topic)).toMatchObject({
      "cleanup.policy": "delete",
      "segment.bytes": "1048576",
      "retention.ms": "-1",
    });
    await steps.finish();
    expect(await ownSettings(cluster, topic)).toEqual(sourceConfig);
  });

  test("are put back when the restore is given up, whatever that deletes", async () => {
    const deleting = { "retention.ms": String(hourMs) };
    const topic = await createTopic(cluster, { config: deleting });
    const begun = await beginInto(topic, { ageMs: 10 * dayMs });
    await stepsOf(begun).prepare();
    const { topics } = await stepsOf(begun).abandon();
    expect(topics).toEqual([{ topic, settings_put_back: true }]);
    expect(await ownSettings(cluster, topic)).toEqual(deleting);
  });

  test("of a restore that was given up are not put back twice", async () => {
    const topic = await createTopic(cluster, { config });
    const begun = await beginInto(topic);
    await stepsOf(begun).prepare();
    await stepsOf(begun).abandon();
    await cluster.alterTopicSettings(topic, [{ name: "cleanup.policy", set: "delete" }]);
    const { topics } = await stepsOf(begun).abandon();
    expect(topics).toEqual([{ topic, settings_put_back: false }]);
    expect(await ownSettings(cluster, topic)).toMatchObject({ "cleanup.policy": "delete" });
  });
});

describe("retention that would delete what was restored", () => {
  test("by age stays off, with the command that sets it", async () => {
    const topic = await createTopic(cluster, { config: { "retention.ms": String(hourMs) } });
    const { kept } = await stepsOf(await beginInto(topic, { ageMs: 10 * dayMs })).finish();
    expect(kept).toMatchObject([
      {
        name: "retention.ms",
        value: "-1",
        wanted: "3600000",
        command:
          "kafka-configs.sh --bootstrap-server broker:9092 --alter --entity-type topics " +
          `--entity-name ${topic} --add-config retention.ms=3600000`,
      },
    ]);
    expect(await ownSettings(cluster, topic)).toEqual({ "retention.ms": "-1" });
  });

  test("by the broker's default stays off, with the command that removes the topic's own", async () => {
    const topic = randomName("inherits");
    const { kept } = await stepsOf(await beginInto(topic, { ageMs: 30 * dayMs })).finish();
    expect(kept).toMatchObject([
      { name: "retention.ms", command: expect.stringContaining("--delete-config retention.ms") },
    ]);
    expect(await ownSettings(cluster, topic)).toEqual({ "retention.ms": "-1" });
  });

  test("by size stays off", async () => {
    const topic = await createTopic(cluster, { config: { "retention.bytes": "50" } });
    const { kept } = await stepsOf(await beginInto(topic)).finish();
    expect(kept.map(({ name }) => name)).toEqual(["retention.bytes"]);
  });

  test("a day later is left on the safe side", async () => {
    const config = { "retention.ms": String(10 * dayMs) };
    const near = await createTopic(cluster, { config });
    const far = await createTopic(cluster, { config });
    const ageMs = 9 * dayMs;
    const first = await stepsOf(await beginInto(near, { ageMs: ageMs + hourMs })).finish();
    const second = await stepsOf(await beginInto(far, { ageMs: ageMs - hourMs })).finish();
    expect(first.kept.map(({ name }) => name)).toEqual(["retention.ms"]);
    expect(second.kept).toEqual([]);
  });
});

describe("a target topic", () => {
  test("that an attempt made before it died is taken over", async () => {
    const topic = randomName("made");
    const begun = await beginInto(topic);
    const [plan] = begun.intent.topics;
    await cluster.createTopics([
      { topic, partitionCount: 1, replicationFactor: 1, config: plan!.config },
    ]);
    expect(await stepsOf(begun).prepare()).toMatchObject({ topic, created: true });
  });

  test("that was made anew since the restore began is refused", async () => {
    const topic = await createTopic(cluster);
    const begun = await beginInto(topic);
    const [plan] = begun.intent.topics;
    const other = await createTopic(cluster);
    const [description] = await cluster.describeTopics([other]);
    // Kafka gives no topic the id of another: a plan with another's id is one for a deleted topic.
    begun.intent.topics[0] = { ...plan!, target_topic_id: description!.topicId };
    await expect(stepsOf(begun).prepare()).rejects.toMatchObject({
      name: "TopicChangedError",
      hint: expect.stringContaining(`--abandon ${begun.intent.restore_id}`),
    });
  });
});
