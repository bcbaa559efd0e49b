import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { abandonRestore } from "#core/restore/abandon.ts";
import { dryRunRestore } from "#core/restore/dry-run.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { RestoreRecord, restoresOf } from "#core/restore/restore-record.ts";
import { type RestoreOptions, runRestore } from "#core/restore/run.ts";
import { type Deadline, deadlineAt } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { collect } from "#test/support/collect.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import {
  ownSettings,
  recordsOfAge,
  restoreDepsOn,
  sendOne,
} from "#test/support/restore-on-kafka.ts";
import { requestOf } from "#test/support/restore-requests.ts";
import {
  type SyntheticBackup,
  syntheticBackup,
  syntheticBatch,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster.disconnect());

const noDeadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);
const options: RestoreOptions = {
  start_new: false,
  max_concurrent_partitions: 4,
  checkpoint_interval_ms: 5000,
  bootstrap_servers: ["broker:9092"],
};
const anew = { ...options, start_new: true };

interface Restoring {
  readonly backup: SyntheticBackup;
  readonly request: RestoreRequest;
  readonly topic: string;
  run(options?: Partial<RestoreOptions>, deadline?: Deadline): ReturnType<typeof runRestore>;
}

/** `orders` of two partitions into a topic of a random name. */
async function restoring(
  change: Partial<RestoreRequest> = {},
  topic = randomName("restored"),
): Promise<Restoring> {
  const backup = syntheticBackup();
  await backup.addRun({
    partitions: [0, 1].map((partition) => ({
      partition,
      segments: [syntheticBatches(0n, 4), syntheticBatches(12n, 2)],
    })),
    topicConfig: { "retention.ms": "-1" },
  });
  const request = requestOf({ topic_mapping: { orders: topic }, ...change });
  return {
    backup,
    request,
    topic,
    run: (changed = {}, deadline = noDeadline) =>
      runRestore(restoreDepsOn(cluster, backup), request, { ...options, ...changed }, deadline),
  };
}

async function endsOf(topic: string): Promise<bigint[]> {
  const ends = [0, 1].map((partition) => cluster.logEndOffset({ topic, partition }));
  return (await Promise.all(ends)).map(({ endOffset }) => endOffset);
}

/** A deadline that passes with the `count`th question. */
function passesAfter(count: number): Deadline {
  let left = count;
  return { ...noDeadline, passed: () => left-- <= 0 };
}

describe("a restore", () => {
  test("creates the topic, restores, verifies and reports every partition", async () => {
    const { topic, run } = await restoring();
    const { status, report, failed } = await run();
    expect({ status, failed }).toEqual({ status: "done", failed: [] });
    expect(await endsOf(topic)).toEqual([18n, 18n]);
    expect(report).toMatchObject({
      record_count: 36n,
      partition_count: 2,
      resumed: false,
      topics: [{ source_topic: "orders", target_topic: topic, created: true, record_count: 36n }],
      kept_settings: [],
    });
    expect(report.phases.map(({ phase }) => phase)).toEqual([
      "prepare",
      "restore",
      "verify",
      "put-back",
    ]);
    expect(await ownSettings(cluster, topic)).toEqual({ "retention.ms": "-1" });
  });

  test("R9: restores what lies in the window, inclusive at both ends", async () => {
    const backup = syntheticBackup();
    const topic = randomName("restored");
    const times = [1n, 2n, 3n, 4n, 5n].map((i) => 1_700_000_000_000n + i);
    const batch = syntheticBatch(
      0n,
      times.map((timestamp) => ({ timestamp, value: "x" })),
    );
    await backup.addRun({ partitions: [{ segments: [[batch]] }] });
    const window = { start: times[1]!, end: times[3]! };
    const request = requestOf({ topic_mapping: { orders: topic }, window });
    const deps = restoreDepsOn(cluster, backup);
    expect((await runRestore(deps, request, options, noDeadline)).report.record_count).toBe(3n);
  });

  test("that is finished says so when the same command comes again", async () => {
    const { topic, run } = await restoring();
    const first = await run();
    const second = await run();
    expect(second).toMatchObject({ status: "already_done", report: first.report });
    expect(await endsOf(topic)).toEqual([18n, 18n]);
  });

  test("that is finished is not what a changed topic holds", async () => {
    const { topic, run } = await restoring();
    await run();
    await sendOne(cluster, topic);
    await expect(run()).rejects.toMatchObject({ name: "TargetNotEmptyError" });
  });

  test("is done once more under --new, where that is consented to", async () => {
    const { topic, run } = await restoring({ allow_non_empty: true });
    const first = await run();
    const second = await run(anew);
    expect(second.status).toBe("done");
    expect(second.report.restore_id).not.toBe(first.report.restore_id);
    expect(await endsOf(topic)).toEqual([36n, 36n]);
  });

  test("is refused before anything is written where the target holds records", async () => {
    const topic = await createTopic(cluster, { partitionCount: 2 });
    await sendOne(cluster, topic);
    const { backup, run } = await restoring({}, topic);
    const before = await ownSettings(cluster, topic);
    await expect(run()).rejects.toMatchObject({ name: "TargetNotEmptyError" });
    expect(await restoresOf(backup.storage, backup.backupId)).toEqual([]);
    expect(await ownSettings(cluster, topic)).toEqual(before);
  });
});

describe("a restore that was stopped", () => {
  test("says how to go on, and the same command continues it", async () => {
    const { topic, run } = await restoring();
    const stopped = run({ max_concurrent_partitions: 1 }, passesAfter(6));
    await expect(stopped).rejects.toMatchObject({
      name: "CancelledError",
      message: expect.stringMatching(/^restore \d{8}T\d{6}Z-[0-9a-f]{8} was stopped/),
      hint: expect.stringContaining("--abandon"),
    });
    const { status, report } = await run();
    expect(status).toBe("done");
    expect(report).toMatchObject({ resumed: true, record_count: 36n });
    expect(await endsOf(topic)).toEqual([18n, 18n]);
  });

  test.each([1, 2, 3, 4, 5, 7, 8, 10, 12, 16])(
    "R1: at any point leaves no record out and none twice (%i questions)",
    async (questions) => {
      const { topic, run } = await restoring();
      await run({ max_concurrent_partitions: 1 }, passesAfter(questions)).catch(() => {});
      expect((await run()).report.record_count).toBe(36n);
      expect(await endsOf(topic)).toEqual([18n, 18n]);
      expect(await ownSettings(cluster, topic)).toEqual({ "retention.ms": "-1" });
    },
  );

  test("stands in the way of another into the same topic, until it is given up", async () => {
    const { backup, request, topic, run } = await restoring();
    await run({}, passesAfter(3)).catch(() => {});
    const [record] = await restoresOf(backup.storage, backup.backupId);
    const other = { ...request, window: { end: 1_900_000_000_000n } };
    const deps = restoreDepsOn(cluster, backup);
    const runOther = () => runRestore(deps, other, options, noDeadline);
    await expect(runOther()).rejects.toMatchObject({
      name: "BackupConflictError",
      details: { restore_id: record?.restoreId },
    });
    await expect(run(anew)).rejects.toMatchObject({ name: "BackupConflictError" });
    const at = { backup_id: backup.backupId, restore_id: record!.restoreId };
    await abandonRestore(deps, at, noDeadline);
    expect(await ownSettings(cluster, topic)).toEqual({ "retention.ms": "-1" });
    expect((await runOther()).status).toBe("done");
  });

  test("cannot be given up once it is finished", async () => {
    const { backup, run } = await restoring();
    const { report } = await run();
    const at = { backup_id: backup.backupId, restore_id: report.restore_id };
    const abandoned = abandonRestore(restoreDepsOn(cluster, backup), at, noDeadline);
    await expect(abandoned).rejects.toMatchObject({ name: "InvalidRequestError" });
  });

  test("that nobody began cannot be given up", async () => {
    const { backup } = await restoring();
    const at = { backup_id: backup.backupId, restore_id: "20260101T000000Z-00000000" };
    const abandoned = abandonRestore(restoreDepsOn(cluster, backup), at, noDeadline);
    await expect(abandoned).rejects.toMatchObject({ name: "BackupNotFoundError" });
  });
});

describe("a partition that cannot be restored", () => {
  /** Takes a partition's last segment away, and returns what brings it back. */
  async function withoutSegment({ backup }: Restoring, partition: number) {
    const prefix = `${backup.backupId}/topics/orders/partition=${partition}/`;
    const objects = await collect(backup.storage.list(prefix));
    const { key } = objects.findLast((object) => object.key.endsWith(".zst"))!;
    const body = await backup.storage.get(key);
    await backup.storage.delete([key]);
    return () => backup.storage.put(key, body);
  }

  test("does not keep the others from it, and is continued when it is whole again", async () => {
    const restore = await restoring();
    const bringBack = await withoutSegment(restore, 1);
    const { status, report, failed } = await restore.run();
    expect(status).toBe("incomplete");
    expect(report).toMatchObject({ partition_count: 1, record_count: 18n });
    expect(failed).toMatchObject([
      { topic: restore.topic, partition: 1, error: "SegmentNotFoundError" },
    ]);
    // The topic is not finished: it keeps the settings of a restore.
    expect(await ownSettings(cluster, restore.topic)).toHaveProperty("segment.ms");
    await bringBack();
    expect(await restore.run()).toMatchObject({ status: "done", report: { resumed: true } });
    expect(await endsOf(restore.topic)).toEqual([18n, 18n]);
    expect(await ownSettings(cluster, restore.topic)).toEqual({ "retention.ms": "-1" });
  });

  test("is the error of the restore where all fail alike", async () => {
    const restore = await restoring();
    await withoutSegment(restore, 0);
    await withoutSegment(restore, 1);
    await expect(restore.run()).rejects.toMatchObject({ name: "SegmentNotFoundError" });
  });

  test("is not verified again once it was", async () => {
    const restore = await restoring();
    const bringBack = await withoutSegment(restore, 1);
    await restore.run();
    // What verification would find now, it does not look for.
    await cluster.alterTopicSettings(restore.topic, [{ name: "cleanup.policy", set: "delete" }]);
    await sendOne(cluster, restore.topic);
    await bringBack();
    expect((await restore.run()).status).toBe("done");
  });
});

describe("a dry run", () => {
  const keysOf = async ({ storage }: SyntheticBackup) =>
    (await collect(storage.list(""))).map(({ key }) => key);

  test("tells what would be restored and writes nothing", async () => {
    const { backup, request, topic } = await restoring();
    const before = await keysOf(backup);
    const plan = await dryRunRestore(restoreDepsOn(cluster, backup), request, false);
    expect(plan).toMatchObject({
      would: "begin",
      findings: [],
      topics: [
        {
          source_topic: "orders",
          target_topic: topic,
          record_count: 36,
          is_exact: true,
          target: { target_topic_id: null, partition_count: 2 },
        },
      ],
    });
    expect(await keysOf(backup)).toEqual(before);
    expect(await cluster.describeTopics([topic])).toEqual([]);
  });

  test("tells that the restore would be refused", async () => {
    const topic = await createTopic(cluster, { partitionCount: 1 });
    const { backup, request } = await restoring({}, topic);
    const plan = await dryRunRestore(restoreDepsOn(cluster, backup), request, false);
    expect(plan).toMatchObject({
      would: "refuse",
      findings: [{ severity: "error", code: "too-few-partitions" }, {}],
    });
  });

  test("tells that a restore would be continued, and that one is finished", async () => {
    const { backup, request, run } = await restoring();
    await run({}, passesAfter(3)).catch(() => {});
    const deps = restoreDepsOn(cluster, backup);
    const [record] = await restoresOf(backup.storage, backup.backupId);
    const would = async () => {
      const { would, restore_id } = await dryRunRestore(deps, request, false);
      return { would, restore_id };
    };
    expect(await would()).toEqual({ would: "continue", restore_id: record?.restoreId });
    await run();
    expect(await would()).toEqual({ would: "already_done", restore_id: record?.restoreId });
  });
});

test("R3: a restore's documents name every partition's result", async () => {
  const { backup, topic, run } = await restoring();
  const { report } = await run();
  const record = new RestoreRecord(backup.storage, backup.backupId, report.restore_id);
  for (const partition of [0, 1]) {
    expect(await record.result({ topic, partition })).toMatchObject({ record_count: 18n });
    expect(await record.verified({ topic, partition })).toMatchObject({ record_count: 18n });
  }
});

test("retention that would delete the restored records is in the report with its command", async () => {
  const topic = await createTopic(cluster, { config: { "retention.ms": "3600000" } });
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: recordsOfAge(30 * 24 * 3_600_000) }] });
  const request = requestOf({ topic_mapping: { orders: topic } });
  const deps = restoreDepsOn(cluster, backup);
  const { report } = await runRestore(deps, request, options, noDeadline);
  expect(report.kept_settings).toMatchObject([
    { topic, name: "retention.ms", command: expect.stringContaining("broker:9092") },
  ]);
});
