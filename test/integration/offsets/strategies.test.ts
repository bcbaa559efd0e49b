/** Strategies that look at the target itself, on the broker, held against the offset map. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { findRestore } from "#core/offsets/choose-restore.ts";
import type { GroupPosition } from "#core/offsets/positions.ts";
import type { RestoredPartition } from "#core/offsets/restored-partitions.ts";
import { byClusterScan } from "#core/offsets/strategies/cluster-scan.ts";
import { byOffsetHeaders } from "#core/offsets/strategies/header-based.ts";
import { byOffsetMap } from "#core/offsets/strategies/offset-map.ts";
import type { StrategyDeps, Translated } from "#core/offsets/strategies/strategy.ts";
import { byTimestamps } from "#core/offsets/strategies/timestamp-based.ts";
import { forEachTargetRecord } from "#core/offsets/target-records.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { append, appendNumbered } from "#test/support/append.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { produceTraffic, recordsOf } from "#test/support/oracle.ts";

let cluster: Cluster;
/** With holes where aborted transactions and markers are. */
let transactions: string;
beforeAll(async () => {
  cluster = await connectForTests();
  transactions = await createTopic(cluster, { prefix: "transactions" });
  await produceTraffic([["transactions", transactions]]);
});
afterAll(() => cluster.disconnect());

function depsOf({ storage, catalog, backupId }: TestEngine): StrategyDeps {
  return { storage, catalog, backup_id: backupId, cluster, deadline: noDeadline };
}

/** Restores one topic and returns what is in its target. */
async function restore(
  engine: TestEngine,
  topic: string,
  target: string,
  request: Partial<RestoreRequest> = {},
): Promise<RestoredPartition[]> {
  const { storage, catalog, backupId } = engine;
  const { report } = await engine.restore({ [topic]: target }, request, { start_new: true });
  return (await findRestore({ storage, catalog, cluster }, backupId, report.restore_id)).partitions;
}

function positionAt(at: RestoredPartition, offset: bigint, group = "group"): GroupPosition {
  const { source_topic, source_partition } = at;
  return {
    group,
    source_topic,
    source_partition,
    offset,
    metadata: "",
    read_at: 0n,
    from: "run 1",
  };
}

/** One at every source offset, and some beyond the end. */
function everyPosition(partitions: readonly RestoredPartition[]): GroupPosition[] {
  return partitions.flatMap((partition) => {
    const count = Number(partition.source_end_offset) + 3;
    return Array.from({ length: count }, (_, i) => positionAt(partition, BigInt(i)));
  });
}

const placesOf = (translated: readonly Translated[]) =>
  translated.map(({ position, topic, partition, target_offset }) => ({
    from: `${position.source_topic}-${position.source_partition}@${position.offset}`,
    to: `${topic}-${partition}@${target_offset}`,
  }));

async function expectLikeMap(deps: StrategyDeps, partitions: readonly RestoredPartition[]) {
  const positions = everyPosition(partitions);
  const byMap = await byOffsetMap(deps, positions, partitions);
  const byHeaders = await byOffsetHeaders(deps, positions, partitions);
  expect(placesOf(byHeaders)).toEqual(placesOf(byMap));
  expect(positions.length).toBeGreaterThan(0);
}

const now = Date.now();

/** Records of these times (from now) and values, appended as one batch. */
async function appendRecords(
  topic: string,
  records: readonly (Partial<NewRecord> & { readonly at?: number; readonly text: string })[],
): Promise<void> {
  const batch = encodeBatch(
    records.map(({ at = 0, text, headers = [] }) => ({
      timestamp: at === -1 ? -1n : BigInt(now + at),
      key: null,
      value: Buffer.from(text),
      headers,
    })),
    { codec: "none" },
  );
  await append(cluster, { topic, partition: 0 }, batch);
}

const keepAll = { "retention.ms": "-1" };

describe("header-based", () => {
  test("leads where the offset map leads, across the holes of transactions and after a second restore", async () => {
    const topic = transactions;
    const engine = testEngine(cluster);
    const target = randomName("restored");
    await engine.backup([topic]);
    const asked = { include_offset_headers: true, allow_non_empty: true };
    await expectLikeMap(depsOf(engine), await restore(engine, topic, target, asked));

    const [partition] = await restore(engine, topic, target, asked);
    expect(partition!.start_offset).toBeGreaterThan(0n);
    await expectLikeMap(depsOf(engine), [partition!]);
    // The same where nothing is known of a restore: the newest ascending values count.
    const { offset_headers: _, ...unknown } = { ...partition!, start_offset: 0n };
    await expectLikeMap(depsOf(engine), [unknown]);
  });

  /** What OSO's tool left in a topic, of which this software knows no restore. */
  function foreignPartition(topic: string): RestoredPartition {
    return {
      source_topic: "orders",
      source_partition: 0,
      lineage: 1,
      source_topic_id: "id-of-orders",
      target_topic: topic,
      target_partition: 0,
      target_topic_id: "id-of-target",
      start_offset: 0n,
      end_offset: 0n,
      source_start_offset: 0n,
      source_end_offset: 1_000n,
      source_gaps: [],
      window: {},
      mapParts: () => {
        throw new Error("there is no offset map");
      },
      runs: () => Promise.reject(new Error("there is no offset map")),
    };
  }

  const original = (offset: number, length = 8) => {
    const value = Buffer.alloc(8);
    value.writeBigInt64LE(BigInt(offset));
    return { key: "x-original-offset", value: value.subarray(0, length) };
  };

  test("reads what OSO's tool wrote, and passes over what is none of it", async () => {
    const topic = await createTopic(cluster);
    await appendRecords(topic, [
      { text: "from before" },
      { text: "0", headers: [original(500)] },
      { text: "1", headers: [original(999, 4), original(501)] },
      { text: "2", headers: [original(7), original(510), original(1, 5)] },
      { text: "3", headers: [original(511)] },
      { text: "written since" },
    ]);
    const partition = foreignPartition(topic);
    const offsets = [0n, 500n, 501n, 502n, 511n, 512n, 2_000n];
    const translated = await byOffsetHeaders(
      depsOf(testEngine(cluster)),
      offsets.map((offset) => positionAt(partition, offset)),
      [partition],
    );
    expect(translated.map(({ target_offset, reason }) => [target_offset, reason])).toEqual([
      [1n, "header"],
      [1n, "header"],
      [2n, "header"],
      [3n, "header"],
      [4n, "header"],
      [5n, "restored-end"],
      [5n, "beyond-archive"],
    ]);
  });

  test("without such headers is refused with the remedy, and nothing is written", async () => {
    const topic = await createTopic(cluster, { partitionCount: 2 });
    await appendNumbered(cluster, { topic, from: 0, count: 10 });
    await appendNumbered(cluster, { topic, partition: 1, from: 10, count: 10 });
    const engine = testEngine(cluster);
    const target = randomName("restored");
    await engine.backup([topic]);
    const ours = await restore(engine, topic, target);
    const group = randomName("group");
    await cluster.commitOffsets(group, [
      { topic: target, partition: 0, offset: 3n, leaderEpoch: -1, metadata: "kept" },
    ]);
    const committed = await cluster.committedOffsets([group]);
    const foreign = ours.map(({ offset_headers: _, ...partition }) => partition);
    for (const partitions of [ours, foreign]) {
      const positions = partitions.map((partition) => positionAt(partition, 5n, group));
      await expect(byOffsetHeaders(depsOf(engine), positions, partitions)).rejects.toMatchObject({
        name: "PreflightRefusedError",
        message: `no record has a header x-original-offset of 8 bytes: ${target}-0, ${target}-1`,
        hint: expect.stringMatching(/restore.include_offset_headers: true.*offset-map/),
      });
    }
    expect(await cluster.committedOffsets([group])).toEqual(committed);
    for (const partition of [0, 1]) {
      const { endOffset } = await cluster.logEndOffset({ topic: target, partition });
      expect(endOffset).toBe(10n);
    }
  });

  test("needs a cluster", async () => {
    const { cluster: _, ...offline } = depsOf(testEngine(cluster));
    await expect(byOffsetHeaders(offline, [], [])).rejects.toMatchObject({
      name: "InvalidRequestError",
      hint: expect.stringContaining("--bootstrap-servers"),
    });
  });
});

test("F4: the target is read as a read_committed consumer reads it, from any offset", async () => {
  const topic = transactions;
  const seen = (await recordsOf([topic])).map(({ offset }) => offset);
  const [from, to] = [seen[40]!, seen.at(-5)!];
  const read: bigint[] = [];
  await forEachTargetRecord(
    cluster,
    { topic, partition: 0, from, to },
    noDeadline,
    ({ offset }) => {
      read.push(offset);
      return undefined;
    },
  );
  expect(read).toEqual(seen.filter((offset) => offset >= from && offset < to));
});

describe("timestamp-based", () => {
  test("leads to the first record of the time, never behind what the map says", async () => {
    const topic = await createTopic(cluster, { config: keepAll });
    const times = [10, 20, 20, 15, 30, -1, 25, 25, 40];
    for (const [i, at] of times.entries()) await appendRecords(topic, [{ at, text: `${i}` }]);
    const engine = testEngine(cluster);
    await engine.backup([topic]);
    const target = await createTopic(cluster, { config: keepAll });
    await appendRecords(target, [{ at: 100, text: "was there" }]);
    const partitions = await restore(engine, topic, target, { allow_non_empty: true });
    const positions = everyPosition(partitions);
    const translated = await byTimestamps(depsOf(engine), positions, partitions);
    const start = partitions[0]!.start_offset;
    // The record that was there is of a later time than all: the restored part begins behind it.
    const first = (at: number) => (at === -1 ? null : start);
    expect(translated.map(({ target_offset }) => target_offset)).toEqual([
      ...times.map(first),
      ...[10n, 10n, 10n],
    ]);

    const alone = await restore(engine, topic, randomName("restored"));
    const byTime = await byTimestamps(depsOf(engine), everyPosition(alone), alone);
    expect(byTime.map(({ target_offset, reason }) => [target_offset, reason])).toEqual([
      [0n, "timestamp"],
      [1n, "timestamp"],
      [1n, "timestamp"],
      [1n, "timestamp"],
      [4n, "timestamp"],
      [null, "undecided"],
      [4n, "timestamp"],
      [4n, "timestamp"],
      [8n, "timestamp"],
      [9n, "restored-end"],
      [9n, "beyond-archive"],
      [9n, "beyond-archive"],
    ]);
    expect(byTime[0]!.note).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(byTime[5]!.note).toBe("the record at the position has no timestamp");
  });

  test("takes the next restored record where a window left the one at the position out", async () => {
    const topic = await createTopic(cluster, { config: keepAll });
    for (const at of [10, 50, 11, 12, 60, 13]) await appendRecords(topic, [{ at, text: `${at}` }]);
    const engine = testEngine(cluster);
    await engine.backup([topic]);
    const partitions = await restore(engine, topic, randomName("restored"), {
      window: { end: BigInt(now + 20) },
    });
    const positions = everyPosition(partitions);
    const byTime = placesOf(await byTimestamps(depsOf(engine), positions, partitions));
    expect(byTime).toEqual(placesOf(await byOffsetMap(depsOf(engine), positions, partitions)));
  });
});

describe("cluster-scan", () => {
  async function scanned(
    topic: string,
    request: { include_offset_headers?: boolean } = {},
  ): Promise<{ engine: TestEngine; partition: RestoredPartition }> {
    const engine = testEngine(cluster);
    await engine.backup([topic]);
    const target = await createTopic(cluster, { config: keepAll });
    await appendRecords(target, [{ text: "was there" }]);
    const changes = { ...request, allow_non_empty: true };
    const [partition] = await restore(engine, topic, target, changes);
    return { engine, partition: partition! };
  }

  const scan = (engine: TestEngine, partition: RestoredPartition, positions: GroupPosition[]) =>
    byClusterScan(depsOf(engine), positions, [partition]);

  test("tells records of equal content apart by those behind them, headers of a restore or not", async () => {
    const topic = await createTopic(cluster, { config: keepAll });
    await appendRecords(
      topic,
      [..."abacabaab"].map((text) => ({ text })),
    );
    for (const include_offset_headers of [false, true]) {
      const { engine, partition } = await scanned(topic, { include_offset_headers });
      const positions = everyPosition([partition]);
      const found = await scan(engine, partition, positions);
      const byMap = await byOffsetMap(depsOf(engine), positions, [partition]);
      // The last ones, `ab` and `b`, are at other places as well, and nothing comes behind them.
      expect(found.map(({ target_offset }) => target_offset)).toEqual(
        byMap.map(({ target_offset }, i) => (i === 7 || i === 8 ? null : target_offset)),
      );
      expect(found[7]!.note).toMatch(/^no match: 3 places are equal in 2 records, the first at /);
    }
  });

  test("says how the group's own offset in the target compares", async () => {
    const topic = await createTopic(cluster, { config: keepAll });
    await appendNumbered(cluster, { topic, from: 0, count: 400 });
    const { engine, partition } = await scanned(topic);
    const { target_topic, start_offset } = partition;
    const commit = async (offset: bigint) => {
      const group = randomName("group");
      await cluster.commitOffsets(group, [
        { topic: target_topic, partition: 0, offset, leaderEpoch: -1, metadata: "" },
      ]);
      return group;
    };
    const groups = {
      there: await commit(start_offset + 100n),
      behind: await commit(start_offset + 70n),
      ahead: await commit(start_offset + 120n),
      none: randomName("group"),
    };
    const positions = Object.values(groups).map((group) => positionAt(partition, 100n, group));
    const found = await scan(engine, partition, positions);
    expect(found.map(({ target_offset, reason }) => [target_offset, reason])).toEqual(
      positions.map(() => [start_offset + 100n, "content"]),
    );
    expect(found.map(({ note }) => note)).toEqual([
      "the group stands there already",
      `the group has committed ${start_offset + 70n}, 30 records behind`,
      `the group has committed ${start_offset + 120n}, 20 records ahead`,
      "the group has committed nothing there",
    ]);
    const committed = await cluster.committedOffsets([groups.none]);
    expect(committed.groups.flatMap(({ offsets }) => offsets)).toEqual([]);
  });

  test("says that there is no match, and why", async () => {
    const topic = await createTopic(cluster, { config: keepAll });
    await appendRecords(topic, [
      { at: 10, text: randomBytes(4).toString("hex") },
      { at: 20, text: "later than all in the target" },
    ]);
    const { engine, partition } = await scanned(topic);
    const other = await createTopic(cluster, { config: keepAll });
    await appendRecords(other, [{ at: 10, text: "another" }]);
    const elsewhere = { ...partition, target_topic: other, start_offset: 0n };
    const positions = [positionAt(partition, 0n), positionAt(partition, 1n)];
    const found = await scan(engine, elsewhere, positions);
    expect(found.map(({ target_offset, reason }) => [target_offset, reason])).toEqual([
      [null, "undecided"],
      [null, "undecided"],
    ]);
    expect(found.map(({ note }) => note)).toEqual([
      "no match: no record of offsets [0, 1) is equal; the group has committed nothing there",
      `no match: the target holds no record of its time ${now + 20} or later; ` +
        "the group has committed nothing there",
    ]);
  });
});
