/** What one run added to a backup, and that nobody changed it since. */
import { expect, test } from "vitest";
import { inBackup } from "#core/storage/keys.ts";
import { named, newBackupId, type Opened } from "#test/contract/catalog/opened.ts";
import {
  clusterDocumentOf,
  runDocumentOf,
  runListOf,
  segmentOf,
} from "#test/support/catalog-documents.ts";

export function runContract(opened: Opened): void {
  test.each(["orders", "run", "cluster", "run.json", "..."])(
    "of a topic called %s come back as written",
    async (topic) => {
      const { catalog } = opened();
      const backup_id = newBackupId();
      const list = runListOf({ backup_id, topic });
      const cluster = await catalog.writeClusterDocument(
        backup_id,
        list.run_id,
        clusterDocumentOf(),
      );
      const lists = [{ topic, ...(await catalog.writeRunList(list)) }];
      const run = runDocumentOf({ backup_id, cluster, lists });
      const reference = await catalog.writeRunDocument(run);

      const read = await catalog.readRunDocument(backup_id, reference);
      expect(read).toEqual(run);
      expect(await catalog.readRunList(backup_id, read.lists[0]!)).toEqual(list);
      expect(await catalog.readClusterDocument(backup_id, read.cluster)).toEqual(
        clusterDocumentOf(),
      );
    },
  );

  test("C4: may be written twice, but not with other content", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const reference = await catalog.writeRunList(runListOf({ backup_id }));
    expect(await catalog.writeRunList(runListOf({ backup_id }))).toEqual(reference);
    await expect(catalog.writeRunList(runListOf({ backup_id, partitions: [] }))).rejects.toEqual(
      named("BackupConflictError"),
    );
  });

  test("I2: are refused when they are not what their reference says", async () => {
    const { catalog, storage } = opened();
    const backup_id = newBackupId();
    const reference = await catalog.writeRunList(runListOf({ backup_id }));
    const key = inBackup(backup_id, reference.key);
    const body = await storage.get(key);
    const flipped = Buffer.from(body);
    flipped[100]! ^= 1;
    for (const [damaged, problem] of [
      [flipped, /SHA-256/],
      [body.subarray(0, -1), /bytes/],
      [Buffer.concat([body, Buffer.from("\n")]), /bytes/],
      [Buffer.alloc(0), /bytes/],
    ] as const) {
      await storage.put(key, damaged);
      await expect(catalog.readRunList(backup_id, reference)).rejects.toEqual(
        named("CorruptManifestError", problem),
      );
    }
    await storage.delete([key]);
    await expect(catalog.readRunList(backup_id, reference)).rejects.toEqual(
      named("CorruptManifestError", /missing/),
    );
  });

  test("S2: are refused when a key in them leads elsewhere", async () => {
    const { catalog } = opened();
    const backup_id = newBackupId();
    const partition = runListOf().partitions[0]!;
    for (const key of ["../x", "topics/orders/partition=1/segment-00000000000000000000-a.zst"]) {
      const segments = [{ ...segmentOf(0n, 9n), key }];
      const list = runListOf({ backup_id, partitions: [{ ...partition, segments }] });
      await expect(catalog.writeRunList(list)).rejects.toEqual(named("CorruptManifestError"));
    }
    const lists = [{ ...runDocumentOf().lists[0]!, key: "runs/other/topics/orders.json" }];
    const reference = await catalog.writeRunDocument(runDocumentOf({ backup_id, lists }));
    await expect(catalog.readRunDocument(backup_id, reference)).rejects.toEqual(
      named("CorruptManifestError", /lists\.0\.key/),
    );
    await expect(
      catalog.readRunDocument(backup_id, { ...reference, key: "../other/manifest.json" }),
    ).rejects.toEqual(named("CorruptManifestError"));
  });
}
