import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { openCatalog } from "#core/catalog/open.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { openMemory } from "#core/storage/memory.ts";
import type { OpenedCatalog } from "#test/contract/catalog/opened.ts";
import { catalogContract } from "#test/contract/catalog.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const name = randomUUID();
const folder = await mkdtemp(join(tmpdir(), "kafka-backup-catalog-"));

afterAll(() => rm(folder, { recursive: true }));

function openOn(storage: StorageBackend): OpenedCatalog {
  const clock = new FakeClock();
  const newId = () => randomBytes(8).toString("hex");
  return { catalog: openCatalog({ storage, clock, newId }), clock, storage };
}

catalogContract("catalog in objects, memory", async () => openOn(openMemory(name)));
catalogContract("catalog in objects, filesystem", async () => openOn(openFilesystem(folder)));
