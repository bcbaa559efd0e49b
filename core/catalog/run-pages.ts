/** Keeps a manifest small: its oldest runs move to pages that later manifests only refer to. */
import { documentBytes, referenceTo } from "#core/catalog/documents.ts";
import { formatVersion, type Manifest, type RunPage } from "#core/catalog/manifest.ts";
import { runPageKey } from "#core/storage/keys.ts";

/**
 * Runs of one page. An entry takes about 800 bytes, so a page has 200 KiB; the 8,760 hourly runs
 * of a year make 34 pages.
 */
export const runsPerPage = 256;

/**
 * Runs in the manifest itself at which the oldest page's worth moves out: a manifest carries 256
 * to 511 runs, at most 400 KiB, and one commit in 256 writes a page.
 */
export const manifestRunsMax = 2 * runsPerPage;

export interface WrittenPage {
  /** Relative to the backup. */
  readonly key: string;
  readonly body: Buffer;
}

/**
 * The manifest with its oldest runs moved to pages, and those pages. A function of the manifest
 * alone: a repeated commit makes the same bytes. A page holds committed runs only (the newest 256
 * stay behind), so an attempt that wrote a page and died agrees with whoever commits next.
 */
export function moveRunsToPages(manifest: Manifest): { manifest: Manifest; pages: WrittenPage[] } {
  const runs = [...manifest.runs];
  const run_pages = [...manifest.run_pages];
  const pages: WrittenPage[] = [];
  let paged = run_pages.reduce((sum, page) => sum + page.run_count, 0);
  while (runs.length >= manifestRunsMax) {
    const page: RunPage = {
      format_version: formatVersion,
      backup_id: manifest.backup_id,
      runs: runs.splice(0, runsPerPage),
    };
    const key = runPageKey(paged + 1, paged + runsPerPage);
    const body = documentBytes(page);
    pages.push({ key, body });
    run_pages.push({ ...referenceTo(key, body), run_count: runsPerPage });
    paged += runsPerPage;
  }
  return { manifest: { ...manifest, run_pages, runs }, pages };
}
