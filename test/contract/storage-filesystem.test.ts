import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { storageContract } from "#test/contract/storage.ts";

const folder = await mkdtemp(join(tmpdir(), "kafka-backup-storage-"));

afterAll(() => rm(folder, { recursive: true }));

storageContract("filesystem", async () => openFilesystem(join(folder, "with-links")));

storageContract("filesystem without hard links", async () =>
  openFilesystem(join(folder, "without-links"), { hardLinks: false }),
);
