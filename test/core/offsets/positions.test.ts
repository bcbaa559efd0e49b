/** Which position of a group counts, by offset source. */
import { describe, expect, test } from "vitest";
import type { GroupSelection, OffsetSource } from "#core/offsets/contract.ts";
import { readPositions } from "#core/offsets/positions.ts";
import { snapshotKey } from "#core/storage/keys.ts";
import { systemClock } from "#core/system.ts";
import { backupId, clusterId, plannedAt, topicId } from "#test/support/catalog-documents.ts";
import {
  hourMs,
  type KnownBackup,
  knownBackup,
  storeSnapshot,
  timeOfRun,
} from "#test/support/known-groups.ts";

const partition0 = { source_topic: "orders", source_partition: 0, source_topic_id: topicId };

interface Asked {
  readonly groups?: GroupSelection;
  readonly source?: OffsetSource;
  readonly windowEnd?: bigint;
  readonly partitions?: readonly (typeof partition0 & { lineage?: number })[];
}

function ask(backup: KnownBackup, { groups, source, windowEnd, partitions }: Asked = {}) {
  return readPositions(
    { storage: backup.storage, catalog: backup.catalog, clock: systemClock },
    {
      backup_id: backupId,
      groups: groups ?? { all: true },
      partitions: partitions ?? [partition0],
      ...(source !== undefined && { offset_source: source }),
      ...(windowEnd !== undefined && { window_end: windowEnd }),
    },
  );
}

/** `group offset from`, in order. */
async function found(backup: KnownBackup, asked?: Asked) {
  const { positions } = await ask(backup, asked);
  return positions.map(({ group, offset, from }) => `${group} ${offset} ${from}`).sort();
}

const threeRuns = () =>
  knownBackup([
    { groups: { billing: { "orders-0": 10n } } },
    { groups: { billing: { "orders-0": 20n }, audit: { "orders-0": 5n } } },
    { groups: { billing: { "orders-0": 30n }, audit: { "orders-0": 6n } } },
  ]);

describe("offset sources", () => {
  test("latest: the newest run, also by default without a window's end", async () => {
    const backup = await threeRuns();
    const newest = ["audit 6 run run-2", "billing 30 run run-2"];
    expect(await found(backup, { source: "latest" })).toEqual(newest);
    expect(await found(backup)).toEqual(newest);
    const { offset_source, positions } = await ask(backup);
    expect(offset_source).toBe("latest");
    expect(positions[0]).toMatchObject({ metadata: "of billing", read_at: timeOfRun(2) });
  });

  test("latest: a newer snapshot of the same cluster goes before", async () => {
    const backup = await threeRuns();
    const created_at = new Date(Number(timeOfRun(3))).toISOString();
    await storeSnapshot(backup, "snapshot-1", { billing: { "orders-0": 40n } }, { created_at });
    await storeSnapshot(
      backup,
      "snapshot-2",
      { billing: { "orders-0": 50n } },
      { created_at, cluster_id: "another" },
    );
    expect(await found(backup)).toEqual(["audit 6 run run-2", "billing 40 snapshot snapshot-1"]);
  });

  test("latest: a safety snapshot counts only by its name", async () => {
    const backup = await threeRuns();
    const created_at = new Date(Number(timeOfRun(3))).toISOString();
    const fields = { created_at, safety: true };
    await storeSnapshot(backup, "snapshot-1", { billing: { "orders-0": 40n } }, fields);
    const groups = { groups: ["billing"] };
    expect(await found(backup, { groups })).toEqual(["billing 30 run run-2"]);
    const source = "snapshot:snapshot-1";
    expect(await found(backup, { source })).toEqual(["billing 40 snapshot snapshot-1"]);
  });

  test("at-window-end: the newest at or before it, by default with a window's end", async () => {
    const backup = await threeRuns();
    expect(await found(backup, { windowEnd: timeOfRun(1) })).toEqual([
      "audit 5 run run-1",
      "billing 20 run run-1",
    ]);
    expect(await found(backup, { windowEnd: timeOfRun(1) - 1n })).toEqual(["billing 10 run run-0"]);
    await expect(ask(backup, { source: "at-window-end" })).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining("window's end"),
    });
  });

  test("at-window-end: refused where nothing is known before, naming the other choices", async () => {
    const backup = await threeRuns();
    await storeSnapshot(backup, "snapshot-1", { billing: { "orders-0": 12n } });
    await expect(
      ask(backup, { groups: { groups: ["billing"] }, windowEnd: plannedAt - hourMs }),
    ).rejects.toMatchObject({
      name: "PreflightRefusedError",
      message: expect.stringMatching(/at or before the end of the window.* of group "billing"/),
      hint: expect.stringMatching(
        new RegExp(
          `latest \\(run run-2 of .*current \\(what cluster ${clusterId} .*snapshot:snapshot-1`,
        ),
      ),
    });
  });

  test("snapshot:ID: that one, of the same cluster, which must exist", async () => {
    const backup = await threeRuns();
    await storeSnapshot(backup, "snapshot-1", { billing: { "orders-0": 12n } });
    await storeSnapshot(backup, "snapshot-2", {}, { cluster_id: "another" });
    const source = "snapshot:snapshot-1";
    expect(await found(backup, { source })).toEqual(["billing 12 snapshot snapshot-1"]);
    await expect(ask(backup, { source: "snapshot:none" })).rejects.toMatchObject({
      name: "SnapshotNotFoundError",
    });
    await expect(ask(backup, { source: "snapshot:snapshot-2" })).rejects.toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining("is of cluster another"),
    });
  });

  test("current: refused without the backup's own cluster", async () => {
    await expect(ask(await threeRuns(), { source: "current" })).rejects.toMatchObject({
      name: "InvalidRequestError",
      hint: expect.stringContaining("--source-bootstrap-servers"),
    });
  });
});

describe("which groups", () => {
  test("patterns; a named group that nobody knows is refused before anything is done", async () => {
    const backup = await threeRuns();
    expect(await found(backup, { groups: { groups: ["b*"] } })).toEqual(["billing 30 run run-2"]);
    await expect(ask(backup, { groups: { groups: ["billing", "biling"] } })).rejects.toMatchObject({
      name: "PreflightRefusedError",
      message: expect.stringContaining('of group "biling"'),
    });
  });

  test("a group that was gone at the newest run stays gone", async () => {
    const backup = await knownBackup([
      { groups: { old: { "orders-0": 10n }, billing: { "orders-0": 10n } } },
      { groups: { billing: { "orders-0": 20n } } },
    ]);
    expect(await found(backup)).toEqual(["billing 20 run run-1"]);
  });

  test("K8: of a group that a run could not read an older run tells", async () => {
    const backup = await knownBackup([
      { groups: { audit: { "orders-0": 5n }, billing: { "orders-0": 10n } } },
      { groups: { billing: { "orders-0": 20n } }, unread: ["audit", "hidden"] },
    ]);
    expect(await found(backup)).toEqual(["audit 5 run run-0", "billing 20 run run-1"]);
    const { left_alone } = await ask(backup);
    expect(left_alone).toEqual([
      { group: "hidden", reason: "could not be read: GROUP_AUTHORIZATION", unread: true },
    ]);
  });

  test("K8: a damaged snapshot is not passed over, and can be got out of the way", async () => {
    const backup = await threeRuns();
    await backup.storage.put(snapshotKey("snapshot-1"), Buffer.from("{}"));
    await expect(ask(backup)).rejects.toMatchObject({
      message: expect.stringContaining("snapshots/snapshot-1.json"),
      hint: expect.stringContaining("offset-rollback delete"),
    });
  });

  test("K8: what a run did not see for lack of rights an older run tells", async () => {
    const backup = await knownBackup([
      { groups: { audit: { "orders-0": 5n }, billing: { "orders-0": 10n } } },
      { groups: { billing: { "orders-0": 20n } }, isComplete: false },
    ]);
    expect(await found(backup)).toEqual(["audit 5 run run-0", "billing 20 run run-1"]);
  });

  test("what was not restored is left alone, and told by topic or partition", async () => {
    const standing = { "orders-0": 1n, "orders-1": 2n, "payments-0": 3n, "payments-1": 4n };
    const backup = await knownBackup([{ groups: { billing: standing } }], [[{}], [{}]]);
    const { positions, left_alone } = await ask(backup);
    expect(positions).toHaveLength(1);
    expect(left_alone).toEqual([
      { group: "billing", topic: "orders", partition: 1, reason: "was not restored" },
      { group: "billing", topic: "payments", reason: "was not restored" },
    ]);
  });
});

describe("K3: positions of another life of a topic do not count", () => {
  test("a topic that was created anew", async () => {
    const backup = await knownBackup([
      { groups: { billing: { "orders-0": 500n } }, topicId: "the-old-topic" },
      { groups: { billing: { "orders-0": 3n } } },
      { groups: { billing: { "orders-0": 7n } }, topicId: "the-next-topic" },
    ]);
    expect(await found(backup)).toEqual(["billing 3 run run-1"]);
    const old = [{ ...partition0, source_topic_id: "the-old-topic" }];
    expect(await found(backup, { partitions: old })).toEqual(["billing 500 run run-0"]);
    const never = [{ ...partition0, source_topic_id: "never-seen" }];
    await expect(ask(backup, { partitions: never })).rejects.toMatchObject({
      name: "PreflightRefusedError",
    });
  });

  test("a group that stood in another life alone is told of", async () => {
    const backup = await knownBackup([
      { groups: { audit: { "orders-0": 9n } }, topicId: "the-old-topic" },
      { groups: { billing: { "orders-0": 3n } } },
    ]);
    const { left_alone } = await ask(backup, { groups: { groups: ["billing"] } });
    expect(left_alone).toEqual([]);
    const old = [{ ...partition0, source_topic_id: "the-old-topic" }];
    const answer = await ask(backup, { partitions: old });
    expect(answer.left_alone).toEqual([
      {
        ...{ group: "billing", topic: "orders", partition: 0 },
        reason: expect.stringContaining("of run run-1 is of another topic of that name"),
      },
    ]);
  });

  test("a log that was truncated keeps its topic id: the times of the runs tell", async () => {
    const times = (first: number, last: number) => ({
      ...{ first_planned_at: timeOfRun(first), last_planned_at: timeOfRun(last) },
    });
    const backup = await knownBackup(
      [
        { groups: { billing: { "orders-0": 90n } } },
        { groups: { billing: { "orders-0": 95n } } },
        { groups: { billing: { "orders-0": 60n } } },
        { groups: { billing: { "orders-0": 70n } } },
      ],
      [[times(0, 1), times(2, 3)]],
    );
    expect(await found(backup, { partitions: [{ ...partition0, lineage: 1 }] })).toEqual([
      "billing 95 run run-1",
    ]);
    expect(await found(backup, { partitions: [{ ...partition0, lineage: 2 }] })).toEqual([
      "billing 70 run run-3",
    ]);
    const early = { partitions: [{ ...partition0, lineage: 2 }], windowEnd: timeOfRun(1) };
    await expect(ask(backup, early)).rejects.toMatchObject({ name: "PreflightRefusedError" });
  });
});

test("no more documents are read than answer the question", async () => {
  const backup = await threeRuns();
  let reads = 0;
  const catalog = {
    ...backup.catalog,
    readClusterDocument: (...args: Parameters<typeof backup.catalog.readClusterDocument>) => {
      reads += 1;
      return backup.catalog.readClusterDocument(...args);
    },
  };
  await ask({ ...backup, catalog });
  expect(reads).toBe(1);
});
