/** What every Catalog does, wherever it keeps things. One run per sibling. */
import { beforeAll, describe } from "vitest";
import { checkpointContract } from "#test/contract/catalog/checkpoints.ts";
import { leaseContract } from "#test/contract/catalog/lease.ts";
import { manifestContract } from "#test/contract/catalog/manifests.ts";
import { openRunContract } from "#test/contract/catalog/open-runs.ts";
import type { OpenedCatalog } from "#test/contract/catalog/opened.ts";
import { restoreContract } from "#test/contract/catalog/restores.ts";
import { runContract } from "#test/contract/catalog/run-documents.ts";
import { snapshotContract } from "#test/contract/catalog/snapshots.ts";
import { versionContract } from "#test/contract/catalog/versions.ts";

/** `open` gives another process's view of the same, initially empty, place each time. */
export function catalogContract(name: string, open: () => Promise<OpenedCatalog>): void {
  let opened: OpenedCatalog;

  describe(name, () => {
    beforeAll(async () => {
      opened = await open();
    });

    describe("manifests", () => manifestContract(() => opened));
    describe("documents of a run", () => runContract(() => opened));
    describe("runs under way", () => openRunContract(() => opened));
    describe("checkpoints", () => checkpointContract(() => opened));
    describe("the lease", () => leaseContract(open));
    describe("versions", () => versionContract(() => opened));
    describe("snapshots", () => snapshotContract(() => opened));
    describe("restores", () => restoreContract(() => opened));
  });
}
