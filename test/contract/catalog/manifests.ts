/** Committed manifests, wherever the catalogue is. */
import { expect, test } from "vitest";
import { named, newBackupId, type Opened } from "#test/contract/catalog/opened.ts";
import {
  checkpointOf,
  lineageOf,
  manifestOf,
  runEntriesOf,
  runEntryOf,
} from "#test/support/catalog-documents.ts";
import { collect } from "#test/support/collect.ts";

export function manifestContract(opened: Opened): void {
  test("are absent before the first commit", async () => {
    const { catalog } = opened();
    expect(await catalog.latestManifest(newBackupId())).toBeUndefined();
  });

  test("come back as committed, by number and as the newest", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const first = await catalog.commitManifest(manifestOf({ backup_id }));
    const second = await catalog.commitManifest(
      manifestOf({
        backup_id,
        generation: 2,
        previous_sha256: first.sha256,
        runs: [runEntryOf(1)],
      }),
    );
    expect(await catalog.readManifest(backup_id, 1)).toEqual(first);
    expect(await catalog.readManifest(backup_id, 2)).toEqual(second);
    expect(await catalog.latestManifest(backup_id)).toEqual(second);
    expect(second.manifest.runs).toEqual([runEntryOf(1)]);
  });

  test("keep every 64-bit offset exactly", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const lineages = [2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 63n - 1n].map((next_offset, i) =>
      lineageOf({ lineage: i + 1, next_offset }),
    );
    const partitions = [{ partition: 0, lineages }];
    const topic = { name: "orders", partition_count: 1, replication_factor: 1, config: {} };
    const manifest = manifestOf({ backup_id, topics: [{ ...topic, partitions }] });
    await catalog.commitManifest(manifest);
    expect((await catalog.readManifest(backup_id, 1)).manifest).toEqual(manifest);
  });

  test("C4: a commit delivered twice succeeds and changes nothing", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const manifest = manifestOf({ backup_id });
    const first = await catalog.commitManifest(manifest);
    const next = manifestOf({ backup_id, generation: 2, previous_sha256: first.sha256 });
    const second = await catalog.commitManifest(next);
    expect(await catalog.commitManifest(manifest)).toEqual(first);
    expect(await catalog.latestManifest(backup_id)).toEqual(second);
  });

  test("C2: a generation that exists with other content is a conflict, and stays", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const first = await catalog.commitManifest(manifestOf({ backup_id }));
    await expect(catalog.commitManifest(manifestOf({ backup_id, created_at: 1n }))).rejects.toEqual(
      named("BackupConflictError"),
    );
    expect(await catalog.latestManifest(backup_id)).toEqual(first);
  });

  test("C2: of 10 different commits of one generation one succeeds", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, (_, i) =>
        catalog.commitManifest(manifestOf({ backup_id, created_at: BigInt(i) })),
      ),
    );
    const won = outcomes.flatMap((outcome) =>
      outcome.status === "fulfilled" ? [outcome.value] : [],
    );
    const lost = outcomes.flatMap((outcome) =>
      outcome.status === "rejected" ? [outcome.reason.name] : [],
    );
    expect(won).toHaveLength(1);
    expect(lost).toEqual(Array(9).fill("BackupConflictError"));
    expect(await catalog.latestManifest(backup_id)).toEqual(won[0]);
  });

  test("that do not exist are not found", async () => {
    const { catalog } = opened();
    await expect(catalog.readManifest(newBackupId(), 7)).rejects.toEqual(
      named("BackupNotFoundError", /generation 7/),
    );
  });

  test("stay small: the oldest 256 of 512 runs move to a page, and all are found in order", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    let stored = await catalog.commitManifest(
      manifestOf({ backup_id, runs: runEntriesOf(1, 511) }),
    );
    expect(stored.manifest).toMatchObject({ run_pages: [] });
    for (const [generation, number] of [
      [2, 512],
      [3, 513],
    ] as const) {
      const { manifest, sha256: previous_sha256 } = stored;
      const runs = [...manifest.runs, runEntryOf(number)];
      stored = await catalog.commitManifest({ ...manifest, generation, previous_sha256, runs });
    }
    expect(stored.manifest.run_pages).toMatchObject([{ run_count: 256 }]);
    expect(stored.manifest.runs).toEqual(runEntriesOf(257, 513));
    expect(await collect(catalog.runsOf(stored.manifest))).toEqual(runEntriesOf(1, 513));
  });

  test("S2: of a backup id that is a path are refused", async () => {
    const { catalog } = opened();
    for (const backup_id of ["../other", "a/b", "", ".", "snapshots"]) {
      await expect(catalog.commitManifest(manifestOf({ backup_id }))).rejects.toEqual(
        named("InvalidRequestError"),
      );
      await expect(catalog.latestManifest(backup_id)).rejects.toEqual(named("InvalidRequestError"));
    }
  });

  test("are listed by backup, in order, whether or not a first run was committed", async () => {
    const { catalog, storage } = opened();
    const ids = [newBackupId(), newBackupId(), newBackupId()];
    await catalog.commitManifest(manifestOf({ backup_id: ids[2]! }));
    await catalog.commitManifest(manifestOf({ backup_id: ids[0]! }));
    await catalog.appendCheckpoint(
      { backupId: ids[1]!, runId: "r1", topic: "orders", partition: 0 },
      checkpointOf(0),
    );
    await storage.put("snapshots/one.json", Buffer.from("{}"));
    const foreign = ["file.txt", "state/0_1/rocksdb/LOG", "topics/list.json", "runs/1/log.txt"];
    for (const key of foreign) await storage.put(`somebody-elses/${key}`, Buffer.from("hello"));
    const listed = await collect(catalog.listBackups());
    expect(listed.filter((id) => ids.includes(id))).toEqual(ids);
    expect(listed).toEqual([...listed].sort());
    expect(listed).not.toContain("snapshots");
    expect(listed).not.toContain("somebody-elses");
  });
}
