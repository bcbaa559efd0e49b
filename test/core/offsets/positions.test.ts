/** Which position of a group counts, by offset source. */
import { describe, expect, test } from "vitest";
import type { BackupError } from "#core/errors.ts";
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
  readonly targets?: { cluster_id: string; topics: string[] };
}

function ask(backup: KnownBackup, { groups, source, windowEnd, partitions, targets }: Asked = {}) {
  return readPositions(
    { storage: backup.storage, catalog: backup.catalog, clock: systemClock },
    {
      backup_id: backupId,
      groups: groups ?? { all: true },
      partitions: partitions ?? [partition0],
      ...(source !== undefined && { offset_source: source }),
      ...(windowEnd !== undefined && { window_end: windowEnd }),
      ...(targets !== undefined && { targets }),
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
          `latest \\(run run-2 of .*current \\(cluster ${clusterId}, .*snapshot:snapshot-1`,
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

describe("the refusal where no position is known", () => {
  /** The hint, line by line. */
  async function refusal(backup: KnownBackup, asked: Asked) {
    const error = await ask(backup, asked).then(
      () => undefined,
      (thrown: BackupError) => thrown,
    );
    const { name, message, hint = "" } = error ?? {};
    return { name, message, hint: hint.split("\n") };
  }
  const early = plannedAt - hourMs;

  test("a pattern of groups that stand there at other times is a matter of positions", async () => {
    const backup = await threeRuns();
    const { name, message, hint } = await refusal(backup, {
      groups: { groups: ["bill*"] },
      windowEnd: early,
    });
    expect(name).toBe("PreflightRefusedError");
    expect(message).toMatch(/at or before the end of the window, .*, of group "bill\*"$/);
    expect(hint).toEqual([
      expect.stringMatching(/^Choose another offset source: latest \(run run-2/),
    ]);
    // The newest run does not know it any more, an older one does.
    const gone = await knownBackup([
      { groups: { old: { "orders-0": 10n } } },
      { groups: { billing: { "orders-0": 20n } } },
    ]);
    expect((await refusal(gone, { groups: { groups: ["o*"] } })).name).toBe(name);
  });

  test("a pattern that no known group matches is wrong, at whatever time", async () => {
    const backup = await threeRuns();
    for (const windowEnd of [early, timeOfRun(2)]) {
      expect(await refusal(backup, { groups: { groups: ["x*"] }, windowEnd })).toMatchObject({
        name: "InvalidRequestError",
        message: 'no consumer group matches the pattern "x*"',
      });
    }
  });

  test("neither the refused snapshot is offered nor those that would give nothing", async () => {
    const backup = await threeRuns();
    await storeSnapshot(backup, "snapshot-refused", { other: { "orders-0": 1n } });
    await storeSnapshot(backup, "snapshot-other", { other: { "orders-0": 1n } });
    await storeSnapshot(backup, "snapshot-elsewhere", { billing: { "payments-0": 1n } });
    const topics = { orders: { topic_id: "of-another-life" } };
    await storeSnapshot(backup, "snapshot-old", { billing: { "orders-0": 1n } }, { topics });
    await storeSnapshot(backup, "snapshot-good", { billing: { "orders-0": 1n } });
    const groups = { groups: ["billing"] };
    const { hint } = await refusal(backup, { groups, source: "snapshot:snapshot-refused" });
    expect(hint).toHaveLength(1);
    expect(hint[0]).toMatch(/source: latest \(run run-2 of \S+\), current \(/);
    expect(hint[0]!.match(/snapshot:[a-z-]+/g)).toEqual(["snapshot:snapshot-good"]);
  });

  test("at-window-end is offered with a window alone, and where it gives a position", async () => {
    const backup = await threeRuns();
    await storeSnapshot(backup, "snapshot-1", { other: { "orders-0": 1n } });
    const groups = { groups: ["billing"] };
    const source = "snapshot:snapshot-1";
    const hintBy = async (asked: Asked) =>
      (await refusal(backup, { ...asked, groups, source })).hint[0];
    expect(await hintBy({})).not.toContain("at-window-end");
    expect(await hintBy({ windowEnd: timeOfRun(1) })).toContain("at-window-end");
    expect(await hintBy({ windowEnd: early })).not.toContain("at-window-end");
  });

  test("a group that exists nowhere is told so, and where its name is looked up", async () => {
    const { hint } = await refusal(await threeRuns(), { groups: { groups: ["biling"] } });
    expect(hint).toEqual([
      expect.stringMatching(/knows "biling": `kafka-backup show-offset-mapping`/),
    ]);
  });

  test("of all groups it names none, and of many only some", async () => {
    const backup = await threeRuns();
    const all = await refusal(backup, { windowEnd: early });
    expect(all.message).toMatch(/, of any group$/);
    const many = Array.from({ length: 40 }, (_, i) => `group-${i}`);
    const { message, hint } = await refusal(backup, { groups: { groups: many } });
    expect(message).toContain("and 35 more");
    expect(`${message}${hint[0]}`.length).toBeLessThan(400);
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

  test("what was not restored is told by partition, topics outside the backup by their count", async () => {
    const standing = {
      "orders-0": 1n,
      "orders-1": 2n,
      "payments-0": 3n,
      "payments-1": 4n,
      "x-0": 5n,
    };
    const backup = await knownBackup([{ groups: { billing: standing } }], [[{}], [{}]]);
    const { positions, left_alone } = await ask(backup);
    expect(positions).toHaveLength(1);
    expect(left_alone).toEqual([
      { group: "billing", topic: "orders", partition: 1, reason: "was not restored" },
      { group: "billing", reason: "2 topics that are not in the backup" },
    ]);
  });

  test("targets of the restore are nothing to tell of in their own cluster alone", async () => {
    const backup = await knownBackup([{ groups: { billing: { "orders-0": 1n, "into-0": 2n } } }]);
    const leftAlone = async (cluster_id: string) => {
      return (await ask(backup, { targets: { cluster_id, topics: ["into"] } })).left_alone;
    };
    expect(await leftAlone(clusterId)).toEqual([]);
    expect(await leftAlone("another")).toEqual([
      { group: "billing", reason: "1 topic that is not in the backup" },
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
