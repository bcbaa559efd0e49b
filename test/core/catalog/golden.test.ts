/** I3: what format version 1 wrote is read for ever. The files are explained beside them. */
import { beforeAll, expect, test } from "vitest";
import type { Catalog } from "#core/catalog/catalog.ts";
import { verifyManifestChain } from "#core/catalog/manifest-chain.ts";
import { segmentsOf } from "#core/catalog/segments-of.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { catalogOn } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";
import { fixtureObjects, storageOf } from "#test/support/golden-backup.ts";

const backupId = "orders-backup";
const newestSha256 = "37729c50642390e4491830cafa8b0e12593370d6c8397a1f3cdf261e006b96f8";

let storage: StorageBackend;
let catalog: Catalog;

beforeAll(async () => {
  storage = await storageOf(await fixtureObjects("catalog"));
  catalog = catalogOn(storage);
});

async function newest() {
  const stored = await catalog.latestManifest(backupId);
  expect(stored?.sha256).toBe(newestSha256);
  return stored!.manifest;
}

test("I3: version 1: the backup is found, and its manifests make a whole chain", async () => {
  expect(await collect(catalog.listBackups())).toEqual([backupId]);
  expect(await collect(verifyManifestChain(storage, backupId))).toEqual([]);
  expect(await newest()).toMatchObject({
    generation: 2,
    created_at: 1_769_864_401_000n,
    created_by: "kafka-backup 0.1.0",
    cluster_id: "MkU3OEVBNTcwNTJENDM2Qg",
  });
});

test("I3: version 1: topics, lineages, gaps and 64-bit offsets mean what they meant", async () => {
  const [topic] = (await newest()).topics;
  expect(topic).toMatchObject({
    name: "orders",
    partition_count: 2,
    replication_factor: 3,
    config: { "cleanup.policy": "compact", "retention.ms": "-1" },
  });
  const [first, second] = topic!.partitions;
  expect(first!.lineages[0]).toEqual({
    lineage: 1,
    topic_id: "xQ0yJ7o0R9q1m4zv2Lr8Xw",
    first_planned_at: 1_769_860_800_000n,
    last_planned_at: 1_769_860_800_000n,
    start_offset: 0n,
    next_offset: 101n,
    last_leader_epoch: 4,
    max_timestamp: 1_769_857_200_000n,
    totals: {
      segment_count: 2,
      batch_count: 9,
      record_count: 88,
      batch_bytes: 44_000,
      stored_bytes: 11_000,
    },
    dropped: { aborted: 2, control: 1, empty: 1 },
    gaps: [
      {
        from_offset: 50n,
        to_offset: 60n,
        reason: "retention",
        run_id: "20260131T120000Z-0a1b2c3d",
        detected_at: 1_769_860_830_000n,
      },
    ],
  });
  expect(first!.lineages[1]).toMatchObject({ lineage: 2, topic_id: "b1mYp3cJTrq0V5n8sKd2Lg" });
  expect(second!.lineages[0]).toMatchObject({
    start_offset: 9_007_199_254_740_990n,
    next_offset: 9_007_199_254_740_994n,
  });
  expect(second!.lineages[1]).toMatchObject({ last_leader_epoch: -1, max_timestamp: -1n });
});

test("I3: version 1: runs on a page and in the manifest lead to their documents", async () => {
  const runs = await collect(catalog.runsOf(await newest()));
  expect(runs.map(({ run_id, lease_token }) => [run_id, lease_token])).toEqual([
    ["20260131T120000Z-0a1b2c3d", 7],
    ["20260131T130000Z-4e5f6071", 10],
  ]);
  const documents = await Promise.all(
    runs.map(async ({ run }) => {
      const { cluster } = await catalog.readRunDocument(backupId, run);
      return catalog.readClusterDocument(backupId, cluster);
    }),
  );
  expect(documents).toEqual([
    expect.objectContaining({
      read_at: 1_769_860_800_000n,
      acls: [{ principal: "User:billing", operation: "READ", resource: "topic:orders" }],
      consumer_groups: {
        billing: {
          partitions: {
            "orders-0": { offset: 90n, metadata: "", leader_epoch: 5 },
            "orders-1": { offset: 9_007_199_254_740_993n, metadata: "at noon" },
          },
        },
      },
      unread_groups: [],
    }),
    expect.objectContaining({
      unread_groups: [{ group: "audit", reason: "GROUP_AUTHORIZATION_FAILED" }],
    }),
  ]);
  expect(documents[1]).not.toHaveProperty("acls");
});

test("I3: version 1: segments are listed with all that a restore asks of them", async () => {
  const found = await collect(segmentsOf(catalog, await newest(), { topic: "orders" }));
  expect(
    found.map(({ partition, lineage, segment }) => [
      `${partition}/${lineage}`,
      segment.start_offset,
      segment.end_offset,
      segment.key.split(".").at(-1),
    ]),
  ).toEqual([
    ["0/1", 0n, 49n, "zst"],
    ["0/1", 60n, 99n, "zst"],
    ["1/1", 9_007_199_254_740_990n, 9_007_199_254_740_993n, "log"],
    ["0/2", 0n, 2n, "lz4"],
  ]);
  expect(found[0]!.segment).toEqual({
    key: "topics/orders/partition=0/segment-00000000000000000000-1f2e3d4c5b6a7988.zst",
    start_offset: 0n,
    end_offset: 49n,
    start_timestamp: 1_769_853_600_000n,
    end_timestamp: 1_769_857_200_000n,
    record_count: 48,
    batch_count: 5,
    batch_bytes: 24_000,
    stored_bytes: 6_000,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    index_bytes: 210,
    index_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    leader_epochs: [
      { epoch: 0, start_offset: 0n },
      { epoch: 4, start_offset: 30n },
    ],
  });
  expect(found[1]!.segment.end_timestamp).toBe(-1n);
  expect(found[1]!.segment).not.toHaveProperty("start_timestamp");
});

test("I3: version 1: an interrupted run is continued from its checkpoint", async () => {
  const run = await catalog.openRun(backupId);
  expect(run).toEqual({
    run_id: "20260131T140000Z-99aabbcc",
    base_generation: 2,
    started_at: 1_769_868_000_000n,
  });
  const at = { backupId, runId: run!.run_id, topic: "orders", partition: 0 };
  expect(await catalog.checkpoints(at)).toEqual([
    expect.objectContaining({
      sequence: 0,
      written_at: 1_769_868_005_000n,
      lineage: 2,
      start_offset: 3n,
      next_offset: 8n,
      last_leader_epoch: 1,
      segments: [expect.objectContaining({ start_offset: 3n, end_offset: 6n })],
      gaps: [],
      dropped: { aborted: 0, control: 1, empty: 0 },
    }),
  ]);
});

test("I3: version 1: a lease that was let go is taken at once, with the next token", async () => {
  const scope = { backupId, purpose: "backup" };
  const lease = await catalog.acquireLease(scope, 0, new AbortController().signal);
  expect(lease.token).toBe(13);
});
