/** How far each partition of a run under way has come. */
import { expect, test } from "vitest";
import { named, newBackupId, type Opened } from "#test/contract/catalog/opened.ts";
import { checkpointOf } from "#test/support/catalog-documents.ts";

export function checkpointContract(opened: Opened): void {
  test("come back in order of their sequence, each partition's for itself", async () => {
    const { catalog } = opened();
    const at = { backupId: newBackupId(), runId: "r", topic: "orders", partition: 0 };
    const parts = Array.from({ length: 12 }, (_, sequence) => checkpointOf(sequence));
    for (const part of parts) await catalog.appendCheckpoint(at, part);
    expect(await catalog.checkpoints(at)).toEqual(parts);
    expect(await catalog.checkpoints({ ...at, partition: 1 })).toEqual([]);
    expect(await catalog.checkpoints({ ...at, runId: "s" })).toEqual([]);
  });

  test("of a partition and of each of its ranges are apart, whatever their numbers", async () => {
    const { catalog } = opened();
    const at = { backupId: newBackupId(), runId: "r", topic: "orders", partition: 1 };
    const range = { from_offset: 2n ** 53n + 1n, leader_epoch: 7 };
    const places = [
      at,
      { ...at, range },
      { ...at, range: { ...range, leader_epoch: 8 } },
      { ...at, range: { ...range, from_offset: 10n } },
      { ...at, partition: 10 },
      { ...at, partition: 10, range },
    ];
    for (const [i, place] of places.entries()) {
      for (let sequence = 0; sequence <= i; sequence++) {
        const part = { ...checkpointOf(sequence), segments: [], last_leader_epoch: i };
        await catalog.appendCheckpoint(place, part);
      }
    }
    for (const [i, place] of places.entries()) {
      const parts = await catalog.checkpoints(place);
      expect(parts.map(({ last_leader_epoch }) => last_leader_epoch)).toEqual(
        Array.from({ length: i + 1 }, () => i),
      );
    }
  });

  test("C4: may be appended twice, but not with other content", async () => {
    const { catalog } = opened();
    const at = { backupId: newBackupId(), runId: "r", topic: "orders", partition: 0 };
    await catalog.appendCheckpoint(at, checkpointOf(0));
    await catalog.appendCheckpoint(at, checkpointOf(0));
    await expect(
      catalog.appendCheckpoint(at, { ...checkpointOf(0), next_offset: 11n }),
    ).rejects.toEqual(named("BackupConflictError"));
    expect(await catalog.checkpoints(at)).toEqual([checkpointOf(0)]);
  });

  test("with one missing in between are refused", async () => {
    const { catalog } = opened();
    const at = { backupId: newBackupId(), runId: "r", topic: "orders", partition: 0 };
    for (const sequence of [0, 2]) await catalog.appendCheckpoint(at, checkpointOf(sequence));
    await expect(catalog.checkpoints(at)).rejects.toEqual(
      named("CorruptManifestError", /00000001/),
    );
  });
}
