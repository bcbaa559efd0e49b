/** What credentials that may not do all of it, and groups of other types, make of snapshots. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { run } from "#cli/main.ts";
import type { ClusterDocument } from "#core/catalog/manifest.ts";
import { exitCodes, isBackupError } from "#core/errors.ts";
import type { Cluster, NewOffset } from "#core/kafka/cluster.ts";
import { listSnapshotIds, takeSnapshot } from "#core/offsets/snapshot.ts";
import { silentLogger } from "#core/runtime.ts";
import { openMemory } from "#core/storage/memory.ts";
import { randomId, systemClock } from "#core/system.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { collect } from "#test/support/collect.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import { createTopic, randomName } from "#test/support/kafka.ts";
import { type KafkaWithAcls, startKafkaWithAcls } from "#test/support/kafka-with-acls.ts";
import { hasNewProtocols, holdShare, holdStreams } from "#test/support/members.ts";

let kafka: KafkaWithAcls;
let admin: Cluster;
let keeper: Cluster;
let topic: string;

beforeAll(async () => {
  kafka = await startKafkaWithAcls();
  ({ admin, limited: keeper } = kafka);
  topic = await createTopic(admin, { partitionCount: 2 });
});
afterAll(() => kafka?.stop());

const at = (partition: number, offset = 0n): NewOffset => {
  return { topic, partition, offset, leaderEpoch: -1, metadata: "" };
};

function depsOf(cluster: Cluster) {
  const storage = openMemory();
  return { storage, cluster, clock: systemClock, logger: silentLogger, newId: randomId };
}

const messages = (results: Awaited<ReturnType<Cluster["commitOffsets"]>>) =>
  results.map(({ error }) => (isBackupError(error, "AccessDeniedError") ? error.message : error));

/** Of the backup's only run. */
async function clusterDocumentOf({ catalog, backupId }: TestEngine): Promise<ClusterDocument> {
  const { manifest } = (await catalog.latestManifest(backupId))!;
  const [entry] = await collect(catalog.runsOf(manifest));
  const { cluster } = await catalog.readRunDocument(backupId, entry!.run);
  return catalog.readClusterDocument(backupId, cluster);
}

describe("the right that is missing is named:", () => {
  const group = randomName("group");
  const named = `group "${group}"`;

  test("Describe on the group, and nothing is stored of a group that was named (K7, K8)", async () => {
    await admin.commitOffsets(group, [at(0)]);
    await admin.commitOffsets("seen", [at(0)]);
    await kafka.grant({ group: "seen" }, "DESCRIBE");
    const deps = depsOf(keeper);
    const groups = { groups: ["seen", group] };
    await expect(takeSnapshot(deps, { groups, description: "" })).rejects.toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringMatching(
        new RegExp(
          `${named}: GROUP_AUTHORIZATION_FAILED.*; the credentials lack Describe on ${named}$`,
        ),
      ),
    });
    expect(await collect(listSnapshotIds(deps.storage))).toEqual([]);
    expect(await keeper.describeGroups([group])).toMatchObject([
      { group, error: { name: "AccessDeniedError" } },
    ]);
  });

  test("Read on the group, Read on the topic, and Delete on the group", async () => {
    const places = [at(0), at(1)];
    await kafka.grant({ group }, "DESCRIBE");
    await kafka.grant({ topic }, "DESCRIBE");
    const lacksRead = `OffsetCommit of ${named}: GROUP_AUTHORIZATION_FAILED; the credentials lack Read on ${named}`;
    expect(messages(await keeper.commitOffsets(group, places))).toEqual([lacksRead, lacksRead]);
    await kafka.grant({ group }, "READ");
    const lacksTopic = (partition: number) =>
      `OffsetCommit of ${named} for ${topic}-${partition}: TOPIC_AUTHORIZATION_FAILED; ` +
      `the credentials lack Read on topic ${topic}`;
    expect(messages(await keeper.commitOffsets(group, places))).toEqual([
      lacksTopic(0),
      lacksTopic(1),
    ]);
    await kafka.grant({ topic }, "READ");
    expect(messages(await keeper.commitOffsets(group, places))).toEqual([undefined, undefined]);
    const lacksDelete = `OffsetDelete of ${named}: GROUP_AUTHORIZATION_FAILED; the credentials lack Delete on ${named}`;
    expect(messages(await keeper.deleteOffsets(group, places))).toEqual([lacksDelete, lacksDelete]);
    await kafka.grant({ group }, "DELETE");
    expect(messages(await keeper.deleteOffsets(group, places))).toEqual([undefined, undefined]);
  });
});

test("K7: a group that may not be set back is named, and the others are", async () => {
  const [free, bound] = [randomName("free"), randomName("bound")];
  for (const group of [free, bound]) {
    await admin.commitOffsets(group, [at(0)]);
    await kafka.grant(
      { group },
      "DESCRIBE",
      ...(group === free ? (["READ", "DELETE"] as const) : []),
    );
  }
  await kafka.grant({ topic }, "READ");
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-denied-"));
  const config = join(folder, "restore.yaml");
  const storage = { backend: "filesystem", path: folder };
  const target = { ...kafka.limitedConnection, topics: { include: ["*"] } };
  await writeFile(config, stringify({ mode: "restore", backup_id: "b", target, storage }));
  const rollback = async (...argv: string[]) => {
    const io = fakeIo();
    const exitCode = await run(["offset-rollback", ...argv, "--path", folder], io);
    return { exitCode, out: io.out(), err: io.err() };
  };
  const asLimited = ["--config", config];
  const names = `${free},${bound}`;
  const taken = await rollback("snapshot", "--groups", names, "--format", "json", ...asLimited);
  expect(taken).toMatchObject({ exitCode: exitCodes.done, err: "" });
  const { snapshot_id } = JSON.parse(taken.out);
  await admin.commitOffsets(free, [{ ...at(0), metadata: "later" }]);
  const back = ["rollback", "--snapshot-id", snapshot_id, "--format", "json", ...asLimited];
  const result = await rollback(...back);
  expect(result.exitCode).toBe(exitCodes.doneWithGaps);
  expect(JSON.parse(result.out)).toMatchObject({
    status: "failed",
    outcomes: [
      {
        group: bound,
        status: "failed",
        committed: 0,
        deleted: 0,
        failures: [
          { topic, partition: 0, reason: expect.stringContaining(`Read on group "${bound}"`) },
        ],
      },
      { group: free, status: "changed", committed: 1, deleted: 0, failures: [] },
    ],
  });
  const none = await rollback(...back, "--groups", bound);
  expect(none.exitCode).toBe(exitCodes.failed);
  await rm(folder, { recursive: true, force: true });
});

test("K8: a list of groups says whether the credentials may see all of them", async () => {
  const hidden = randomName("hidden");
  await admin.commitOffsets(hidden, [at(0)]);
  const partial = await keeper.committedOffsets();
  expect(partial.complete).toBe(false);
  expect(partial.groups.map(({ group }) => group)).not.toContain(hidden);
  const snapshot = await takeSnapshot(depsOf(keeper), { groups: { all: true }, description: "" });
  expect(snapshot).toMatchObject({ all_groups: true, groups_complete: false });
  await kafka.grant({ topic }, "READ", "DESCRIBE_CONFIGS");
  const engine = testEngine(keeper);
  expect(await engine.backup([topic])).toMatchObject({ status: "done" });
  expect(await clusterDocumentOf(engine)).toMatchObject({ groups_complete: false });
  await kafka.grant("cluster", "DESCRIBE");
  const whole = await keeper.committedOffsets();
  expect(whole.complete).toBe(true);
  // It is listed now, and still may not be read: named, with the others beside it.
  expect(whole.failed.map(({ group }) => group)).toContain(hidden);
  expect(whole.groups.map(({ group }) => group)).toContain("seen");
});

test.runIf(hasNewProtocols)(
  "share and Streams groups are refused by name, and hold up no other",
  async () => {
    const [share, streams, other] = ["share", "streams", "group"].map(randomName);
    await admin.commitOffsets(other!, [at(0)]);
    const held = await Promise.all([
      holdShare(topic, share!, kafka),
      holdStreams(topic, streams!, kafka),
    ]);
    try {
      const refused = [
        { group: share!, type: "share" },
        { group: streams!, type: "streams" },
      ].map(({ group, type }) => ({
        group,
        reason: `group "${group}" is a ${type} group; only classic and consumer groups are supported`,
      }));
      const names = refused.map(({ group }) => group);
      expect(await admin.describeGroups(names)).toMatchObject(
        refused.map(({ group, reason }) => ({
          group,
          error: { name: "InvalidRequestError", message: reason },
        })),
      );
      expect((await admin.committedOffsets([...names, other!])).failed).toMatchObject(refused);
      const deps = depsOf(admin);
      const all = await takeSnapshot(deps, { groups: { all: true }, description: "" });
      expect(all.unread_groups).toEqual(refused);
      expect(Object.keys(all.consumer_groups)).toContain(other);
      for (const { group, reason } of refused) {
        await expect(
          takeSnapshot(deps, { groups: { groups: [group] }, description: "" }),
        ).rejects.toMatchObject({ name: "InvalidRequestError", message: reason });
        const [result] = await admin.commitOffsets(group, [at(0)]);
        expect(result?.error?.message).toContain(group);
      }
    } finally {
      await Promise.all(held.map((group) => group.release()));
    }
  },
);
