/** Restores out of a backup: found by their documents, known by what was told of them. */
import { expect, test } from "vitest";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import {
  summaryOfAbandoned,
  summaryOfBegun,
  summaryOfFinished,
} from "#core/restore/restore-summary.ts";
import { newBackupId, type Opened } from "#test/contract/catalog/opened.ts";
import { intentOf, reportOf } from "#test/support/restore-requests.ts";

export function restoreContract(opened: Opened): void {
  async function begun(backup_id: string, second: number) {
    const restore_id = `20260131T1200${String(second).padStart(2, "0")}Z-00000001`;
    const intent = intentOf({ backup_id, restore_id });
    const record = new RestoreRecord(opened().storage, backup_id, restore_id);
    await record.writeIntent(intent);
    return { restore_id, intent, record };
  }

  test("are found oldest first, the newest of them, whether or not they were told of", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    expect(await catalog.restores(backupId, 10)).toEqual([]);
    const ids: string[] = [];
    for (const second of [0, 1, 2, 3]) {
      const { restore_id, intent } = await begun(backupId, second);
      if (second !== 2) await catalog.noteRestore(backupId, summaryOfBegun(intent));
      ids.push(restore_id);
    }
    for (const max of [0, 1, 3, 10]) {
      const found = await catalog.restores(backupId, max);
      expect(found.map(({ restore_id }) => restore_id)).toEqual(max === 0 ? [] : ids.slice(-max));
    }
    expect(await catalog.restores(newBackupId(), 10)).toEqual([]);
  });

  test("C4: are known as they were told of last, or not known; an end is not taken back", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    const { intent, record } = await begun(backupId, 0);
    const beginning = summaryOfBegun(intent);
    const known = async () => (await catalog.restores(backupId, 1))[0]!.summary;
    await catalog.noteRestore(backupId, beginning);
    expect([undefined, beginning]).toContainEqual(await known());
    const report = { ...reportOf(intent), record_count: 2n ** 60n };
    await record.writeReport(report);
    expect(await known()).toBeUndefined();
    const end = summaryOfFinished(intent, report);
    for (const summary of [end, end, beginning]) await catalog.noteRestore(backupId, summary);
    expect([undefined, end]).toContainEqual(await known());
  });

  test("that were given up are not known as begun", async () => {
    const { catalog } = opened();
    const backupId = newBackupId();
    const { intent, record } = await begun(backupId, 0);
    await catalog.noteRestore(backupId, summaryOfBegun(intent));
    await record.writeAbandoned({ abandoned_at: 7n });
    expect((await catalog.restores(backupId, 1))[0]!.summary).toBeUndefined();
    const end = summaryOfAbandoned(intent, 7n);
    await catalog.noteRestore(backupId, end);
    expect([undefined, end]).toContainEqual((await catalog.restores(backupId, 1))[0]!.summary);
  });
}
