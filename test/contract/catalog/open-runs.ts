/** Runs that have been begun and not committed. */
import { expect, test } from "vitest";
import { named, newBackupId, type Opened } from "#test/contract/catalog/opened.ts";
import { checkpointOf } from "#test/support/catalog-documents.ts";

export function openRunContract(opened: Opened): void {
  const run = { run_id: "run-a", base_generation: 0, started_at: 5n };

  test("are found until they are closed", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    expect(await catalog.openRun(backupId)).toBeUndefined();
    await catalog.writeOpenRun(backupId, run);
    await catalog.writeOpenRun(backupId, run);
    expect(await catalog.openRun(backupId)).toEqual(run);
    await catalog.closeRun(backupId, run.run_id);
    expect(await catalog.openRun(backupId)).toBeUndefined();
    await catalog.closeRun(backupId, run.run_id);
  });

  test("C2: are not opened twice with other content", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    await catalog.writeOpenRun(backupId, run);
    await expect(catalog.writeOpenRun(backupId, { ...run, started_at: 6n })).rejects.toEqual(
      named("BackupConflictError"),
    );
  });

  test("take their checkpoints with them when they are closed", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    const at = { backupId, runId: run.run_id, topic: "orders", partition: 0 };
    await catalog.writeOpenRun(backupId, run);
    for (const sequence of [0, 1, 2]) await catalog.appendCheckpoint(at, checkpointOf(sequence));
    await catalog.closeRun(backupId, run.run_id);
    expect(await catalog.checkpoints(at)).toEqual([]);
  });

  test("of several the one on the newest base is the open one", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    const newer = { ...run, run_id: "run-0", base_generation: 1 };
    await catalog.writeOpenRun(backupId, run);
    await catalog.writeOpenRun(backupId, newer);
    expect(await catalog.openRun(backupId)).toEqual(newer);
    await catalog.closeRun(backupId, newer.run_id);
    expect(await catalog.openRun(backupId)).toBeUndefined();
  });
}
