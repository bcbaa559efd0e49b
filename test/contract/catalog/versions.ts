/** A manifest as people ask for it. */
import { expect, test } from "vitest";
import type { RunEntry } from "#core/catalog/manifest.ts";
import { summaryOf } from "#core/catalog/summary.ts";
import { named, newBackupId, type Opened } from "#test/contract/catalog/opened.ts";
import {
  lineageOf,
  manifestOf,
  runEntriesOf,
  runEntryOf,
} from "#test/support/catalog-documents.ts";

const topic = {
  ...{ name: "orders", partition_count: 2, replication_factor: 1, config: { "retention.ms": "1" } },
  partitions: [
    { partition: 0, lineages: [lineageOf({ next_offset: 2n ** 60n })] },
    { partition: 1, lineages: [lineageOf(), lineageOf({ lineage: 2, start_offset: 5n })] },
  ],
};

export function versionContract(opened: Opened): void {
  /** Commits `runs` in this many generations, one run more in each. */
  async function committed(generations: number, firstRuns: readonly RunEntry[] = []) {
    const { catalog } = opened();
    const backup_id = newBackupId();
    let previous_sha256: string | null = null;
    const stored = [];
    for (let generation = 1; generation <= generations; generation++) {
      const runs = [
        ...firstRuns,
        ...runEntriesOf(firstRuns.length + 1, firstRuns.length + generation),
      ];
      const manifest = manifestOf({
        backup_id,
        generation,
        previous_sha256,
        topics: [topic],
        runs,
      });
      const one = await catalog.commitManifest(manifest);
      previous_sha256 = one.sha256;
      stored.push(one);
    }
    return { backup_id, stored };
  }

  test("say of the newest generation, or of an older one, what it held", async () => {
    const { catalog } = opened();
    const { backup_id, stored } = await committed(3);
    const versions = [
      await catalog.manifestVersion(backup_id, { generation: 1, runs_max: 10 }),
      await catalog.manifestVersion(backup_id, { generation: 2, runs_max: 10 }),
      await catalog.manifestVersion(backup_id, { runs_max: 10 }),
    ];
    for (const [i, { manifest, sha256 }] of stored.entries()) {
      const { created_at, created_by, topics } = manifest;
      const runs = runEntriesOf(1, i + 1);
      const summary = summaryOf(manifest);
      expect(versions[i]).toEqual({ summary, sha256, created_at, created_by, topics, runs });
    }
  });

  test("have the newest runs, as many as are asked for and as there are", async () => {
    const { catalog } = opened();
    const { backup_id } = await committed(1, runEntriesOf(1, 510));
    const { backup_id: paged } = await committed(2, runEntriesOf(1, 511));
    for (const [id, last] of [
      [backup_id, 511],
      [paged, 513],
    ] as const) {
      for (const runs_max of [0, 1, 10, 11, 300, 1_000]) {
        const version = await catalog.manifestVersion(id, { runs_max });
        const first = Math.max(1, last - runs_max + 1);
        expect(version?.runs, `${runs_max} of ${last}`).toEqual(runEntriesOf(first, last));
        expect(version?.summary.run_count).toBe(last);
      }
    }
  });

  test("are absent before the first commit, and not found where there is no such generation", async () => {
    const { catalog } = opened();
    expect(await catalog.manifestVersion(newBackupId(), { runs_max: 1 })).toBeUndefined();
    const { backup_id } = await committed(1);
    await expect(
      catalog.manifestVersion(backup_id, { generation: 2, runs_max: 1 }),
    ).rejects.toEqual(named("BackupNotFoundError", /generation 2/));
    expect((await catalog.manifestVersion(backup_id, { runs_max: 1 }))?.runs).toEqual([
      runEntryOf(1),
    ]);
  });
}
