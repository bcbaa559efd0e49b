/**
 * Reads a backup's runs, oldest first, document by document. What is missing or damaged is told in
 * its place of that order, so that a reader who stops knows exactly how far he came.
 */
import type {
  Manifest,
  ObjectReference,
  RunDocument,
  RunEntry,
  RunList,
} from "#core/catalog/manifest.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import { isBackupError } from "#core/errors.ts";
import { inBackup } from "#core/storage/keys.ts";
import { type Finding, finding } from "#core/validate/findings.ts";
import type { BackupReader } from "#core/validate/manifest-history.ts";

/** Run documents read ahead, each with its cluster.json: some 100 KB a run. */
const runsReadAhead = 16;
/** Run lists read ahead. Parsed, a list takes about four times its bytes. */
const listsReadAhead = 16;
const listBytesReadAhead = 16 * 1024 * 1024;

export interface RunPart {
  /** Undefined for a page of runs that cannot be read. */
  readonly run: RunEntry | undefined;
  /** Undefined where the run has none, or where it cannot be read. */
  readonly list: RunList | undefined;
  /** From the storage's root: of the list, else of the document that should have named one. */
  readonly key: string;
  /** How many of the manifest's runs end here: 0 while lists of the run follow. */
  readonly runsEnded: number;
  /** What is wrong with the documents that were read for this part. */
  readonly findings: readonly Finding[];
}

/** A run, or a page of runs in its place, before its lists are read. */
interface RunStub {
  readonly run: RunEntry | undefined;
  readonly key: string;
  readonly runCount: number;
  readonly findings: Finding[];
}

interface ListStub extends RunStub {
  readonly reference: (ObjectReference & { readonly topic: string }) | undefined;
}

/** All runs of the manifest but the first `skipped`; at least one part each. */
export async function* readRunParts(
  deps: BackupReader,
  manifest: Manifest,
  skipped: number,
): AsyncGenerator<RunPart> {
  const limits = {
    bytesOf: ({ reference }: ListStub) => reference?.bytes ?? 0,
    bytesMax: listBytesReadAhead,
    countMax: listsReadAhead,
  };
  const stubs = listStubs(deps, manifest, skipped);
  const lists = readAhead(stubs, limits, (stub) => readList(deps, manifest.backup_id, stub));
  for await (const { item, result: list } of lists) {
    const { run, key, runCount: runsEnded, findings } = item;
    yield { run, list, key, runsEnded, findings };
  }
}

async function* listStubs(
  deps: BackupReader,
  manifest: Manifest,
  skipped: number,
): AsyncGenerator<ListStub> {
  const limits = { bytesOf: () => 0, bytesMax: 0, countMax: runsReadAhead };
  const { backup_id: backupId } = manifest;
  const runs = readAhead(runStubs(deps, manifest, skipped), limits, (stub) =>
    readRun(deps, backupId, stub),
  );
  for await (const { item: stub, result: document } of runs) {
    const lists = document?.lists ?? [];
    if (lists.length === 0) yield { ...stub, reference: undefined };
    for (const [i, reference] of lists.entries()) {
      yield {
        run: stub.run,
        reference,
        key: inBackup(backupId, reference.key),
        runCount: i === lists.length - 1 ? stub.runCount : 0,
        findings: i === 0 ? stub.findings : [],
      };
    }
  }
}

/** Reads one page after the other, so that a damaged one does not hide those after it. */
async function* runStubs(
  { catalog }: BackupReader,
  manifest: Manifest,
  skipped: number,
): AsyncGenerator<RunStub> {
  const { backup_id: backupId } = manifest;
  let left = skipped;
  for (const page of manifest.run_pages) {
    if (page.run_count <= left) {
      left -= page.run_count;
      continue;
    }
    const key = inBackup(backupId, page.key);
    const findings: Finding[] = [];
    const runs = await readOrFinding(key, findings, async () => {
      const ofPage: RunEntry[] = [];
      const onlyPage = { ...manifest, run_pages: [page], runs: [] };
      for await (const run of catalog.runsOf(onlyPage)) ofPage.push(run);
      return ofPage;
    });
    if (runs === undefined) {
      yield { run: undefined, key, runCount: page.run_count - left, findings };
    } else yield* runs.slice(left).map((run) => stubOf(backupId, run));
    left = 0;
  }
  yield* manifest.runs.slice(left).map((run) => stubOf(backupId, run));
}

function stubOf(backupId: string, run: RunEntry): RunStub {
  return { run, key: inBackup(backupId, run.run.key), runCount: 1, findings: [] };
}

async function readRun(
  { catalog }: BackupReader,
  backupId: string,
  { run, key, findings }: RunStub,
): Promise<RunDocument | undefined> {
  if (run === undefined) return undefined;
  const document = await readOrFinding(key, findings, () =>
    catalog.readRunDocument(backupId, run.run),
  );
  if (document === undefined) return undefined;
  if (document.run_id !== run.run_id) {
    findings.push(contradiction(key, `says that it is run ${document.run_id}`));
  }
  const { cluster } = document;
  await readOrFinding(inBackup(backupId, cluster.key), findings, () =>
    catalog.readClusterDocument(backupId, cluster),
  );
  return document;
}

async function readList(
  { catalog }: BackupReader,
  backupId: string,
  { run, reference, key, findings }: ListStub,
): Promise<RunList | undefined> {
  if (reference === undefined) return undefined;
  const list = await readOrFinding(key, findings, () => catalog.readRunList(backupId, reference));
  if (list === undefined) return undefined;
  if (list.run_id !== run?.run_id || list.topic !== reference.topic) {
    findings.push(contradiction(key, `is of run ${list.run_id} and topic ${list.topic}`));
  }
  return list;
}

/** Undefined where a document is missing or damaged, which becomes a finding. */
async function readOrFinding<T>(
  key: string,
  findings: Finding[],
  read: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isBackupError(error, "CorruptManifestError", "ObjectNotFoundError")) throw error;
    const isMissing =
      error.name === "ObjectNotFoundError" || isBackupError(error.cause, "ObjectNotFoundError");
    const code = isMissing ? "document_missing" : "document_damaged";
    findings.push(finding(code, error.message, { key }));
    return undefined;
  }
}

export function contradiction(key: string, problem: string): Finding {
  return finding("document_contradicts", `${key} ${problem}`, { key });
}
