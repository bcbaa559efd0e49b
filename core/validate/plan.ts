/**
 * The first step of a validation: reads every document of a backup, oldest run first, follows the
 * offsets of each lineage, and hands out each segment to be looked at.
 */
import { z } from "zod";
import type {
  Manifest,
  ObjectReference,
  RunDocument,
  RunEntry,
  RunList,
} from "#core/catalog/manifest.ts";
import { readAhead } from "#core/catalog/read-ahead.ts";
import { runCountOf } from "#core/describe/list.ts";
import { isBackupError } from "#core/errors.ts";
import type { Deadline } from "#core/runtime.ts";
import { inBackup } from "#core/storage/keys.ts";
import {
  addTo,
  checkTotals,
  emptyTotals,
  type FollowedLineage,
  finishLineage,
  followSegment,
  lineageProgress,
  progressOf,
} from "#core/validate/continuity.ts";
import { FindingLog, type LoggedFindings } from "#core/validate/finding-log.ts";
import { type Finding, finding, validationLevels } from "#core/validate/findings.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import type { BackupReader, ManifestHistory } from "#core/validate/manifest-history.ts";

/** Run documents read ahead, each with its cluster.json: some 100 KB a run. */
const runsReadAhead = 16;
/** Run lists read ahead. Parsed, a list takes about four times its bytes. */
const listsReadAhead = 16;
const listBytesReadAhead = 16 * 1024 * 1024;

export const validationCursor = z.object({
  /** Of the manifest that is validated; it stays the same when a run commits meanwhile. */
  generation: z.int().min(1),
  runs_planned: z.int().min(0),
  /** False where a document was damaged, so that totals cannot add up. */
  is_complete: z.boolean(),
  lineages: z.array(lineageProgress),
});
export type ValidationCursor = z.infer<typeof validationCursor>;

export const validationRequest = z.object({
  backup_id: z.string(),
  level: z.enum(validationLevels),
  /** What an earlier call returned that ran out of time. */
  cursor: validationCursor.optional(),
});
export type ValidationRequest = z.infer<typeof validationRequest>;

export interface ValidationPlan extends LoggedFindings {
  /** `continue`: the deadline came first; call again with `cursor`. */
  readonly status: "done" | "continue";
  readonly cursor?: ValidationCursor;
  readonly run_count: number;
  readonly segment_count: number;
  /** False where a damaged document hides what it names. */
  readonly is_complete: boolean;
}

/**
 * Reads the documents of `history.newest` and calls `onItem` for each segment, in order of runs;
 * the next one comes when it resolves. Throws what StorageBackend throws.
 */
export async function planValidation(
  deps: BackupReader,
  request: ValidationRequest,
  history: ManifestHistory,
  onItem: (item: ValidationItem) => Promise<void>,
  deadline: Deadline,
): Promise<ValidationPlan> {
  const planner = new Planner(deps, request, history, onItem);
  return planner.plan(deadline);
}

class Planner {
  readonly #deps: BackupReader;
  readonly #request: ValidationRequest;
  readonly #manifest: Manifest | undefined;
  readonly #onItem: (item: ValidationItem) => Promise<void>;
  readonly #lineages: Map<string, FollowedLineage>;
  readonly #log = new FindingLog();
  #runCount = 0;
  #segmentCount = 0;
  #isComplete: boolean;
  /** Of the run that is being planned. */
  #runTotals = emptyTotals();
  #isRunWhole = true;

  constructor(
    deps: BackupReader,
    request: ValidationRequest,
    history: ManifestHistory,
    onItem: (item: ValidationItem) => Promise<void>,
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#manifest = history.newest?.manifest;
    this.#onItem = onItem;
    this.#lineages = followedLineages(this.#manifest, request.cursor);
    this.#isComplete = request.cursor?.is_complete ?? true;
    if (request.cursor === undefined) this.#log.add(...forgottenRuns(history));
  }

  async plan(deadline: Deadline): Promise<ValidationPlan> {
    const limits = {
      bytesOf: ({ reference }: RunPart) => reference?.bytes ?? 0,
      bytesMax: listBytesReadAhead,
      countMax: listsReadAhead,
    };
    const parts = readAhead(this.#parts(), limits, (part) => this.#readList(part));
    for await (const { item: part, result: list } of parts) {
      deadline.signal.throwIfAborted();
      if (list !== undefined) await this.#followList(part, list);
      else this.#isRunWhole &&= part.isReadable && part.reference === undefined;
      if (!part.isLast) continue;
      this.#finishRun(part);
      if (deadline.passed()) return this.#result("continue");
    }
    this.#finishLineages();
    return this.#result("done");
  }

  /** Each run list, and a part without a list for a run that has none. */
  async *#parts(): AsyncGenerator<RunPart> {
    const limits = { bytesOf: () => 0, bytesMax: 0, countMax: runsReadAhead };
    const skipped = this.#request.cursor?.runs_planned ?? 0;
    const runs = readAhead(this.#runs(skipped), limits, (run) => this.#readRun(run));
    for await (const { item: run, result: document } of runs) {
      const lists = document?.lists ?? [];
      if (lists.length === 0) yield { run, isReadable: document !== undefined, isLast: true };
      for (const [i, reference] of lists.entries()) {
        yield { run, reference, isReadable: true, isLast: i === lists.length - 1 };
      }
    }
  }

  /** Reads one page after the other, so that a damaged one does not hide those after it. */
  async *#runs(skipped: number): AsyncGenerator<RunEntry> {
    const manifest = this.#manifest;
    if (manifest === undefined) return;
    let left = skipped;
    for (const page of [...manifest.run_pages, undefined]) {
      const part =
        page === undefined
          ? { ...manifest, run_pages: [] }
          : { ...manifest, run_pages: [page], runs: [] };
      const runCount = page?.run_count ?? manifest.runs.length;
      if (runCount <= left) {
        left -= runCount;
        continue;
      }
      try {
        for await (const run of this.#deps.catalog.runsOf(part)) {
          if (left > 0) left--;
          else yield run;
        }
      } catch (error) {
        this.#runCount += runCount;
        this.#documentFinding(error, page?.key ?? "");
      }
    }
  }

  async #readRun(run: RunEntry): Promise<RunDocument | undefined> {
    const { catalog } = this.#deps;
    const { backup_id } = this.#request;
    const document = await this.#readDocument(run.run.key, () =>
      catalog.readRunDocument(backup_id, run.run),
    );
    if (document === undefined) return undefined;
    if (document.run_id !== run.run_id) {
      this.#contradiction(run.run.key, `says that it is run ${document.run_id}`);
    }
    await this.#readDocument(document.cluster.key, () =>
      catalog.readClusterDocument(backup_id, document.cluster),
    );
    return document;
  }

  async #readList({ run, reference }: RunPart): Promise<RunList | undefined> {
    if (reference === undefined) return undefined;
    const { catalog } = this.#deps;
    const list = await this.#readDocument(reference.key, () =>
      catalog.readRunList(this.#request.backup_id, reference),
    );
    if (list === undefined) return undefined;
    if (list.run_id !== run.run_id || list.topic !== reference.topic) {
      this.#contradiction(reference.key, `is of run ${list.run_id} and topic ${list.topic}`);
    }
    return list;
  }

  /** Undefined where the document is missing or damaged, which becomes a finding. */
  async #readDocument<T>(key: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      this.#documentFinding(error, key);
      return undefined;
    }
  }

  #documentFinding(error: unknown, key: string): void {
    if (!isBackupError(error, "CorruptManifestError", "ObjectNotFoundError")) throw error;
    const isMissing =
      error.name === "ObjectNotFoundError" || isBackupError(error.cause, "ObjectNotFoundError");
    const code = isMissing ? "document_missing" : "document_damaged";
    this.#log.add(finding(code, error.message, { key: this.#rooted(key) }));
    this.#isComplete = false;
  }

  #contradiction(key: string, problem: string): void {
    const rooted = this.#rooted(key);
    this.#log.add(finding("document_contradicts", `${rooted} ${problem}`, { key: rooted }));
  }

  async #followList(part: RunPart, list: RunList): Promise<void> {
    const { backup_id, level } = this.#request;
    const { topic } = list;
    for (const { partition, lineage, topic_id, segments } of list.partitions) {
      const followed = this.#lineages.get(lineageKey(topic, partition, lineage));
      const key = part.reference?.key ?? "";
      if (followed === undefined) {
        this.#contradiction(key, `has lineage ${lineage} of ${topic}-${partition}, unknown before`);
      } else if (followed.state.topic_id !== topic_id) {
        this.#contradiction(key, `has topic id ${topic_id} for lineage ${lineage} of ${topic}`);
      }
      for (const segment of segments) {
        const key = this.#rooted(segment.key);
        if (followed !== undefined) this.#logKnown(followSegment(followed, segment, key));
        addTo(this.#runTotals, segment);
        this.#segmentCount += 1;
        await this.#onItem({ backup_id, level, topic, partition, lineage, segment });
      }
    }
  }

  #finishRun({ run }: RunPart): void {
    if (this.#isRunWhole) {
      const key = this.#rooted(run.run.key);
      const what = `the totals of run ${run.run_id}`;
      this.#log.add(...checkTotals(run.totals, this.#runTotals, what, { key }));
    }
    this.#runTotals = emptyTotals();
    this.#isRunWhole = true;
    this.#runCount += 1;
  }

  #finishLineages(): void {
    for (const followed of this.#lineages.values()) this.#logKnown(finishLineage(followed));
  }

  /** Where a document is damaged, its segments are missing in sums and sequences: that is no news. */
  #logKnown(findings: readonly Finding[]): void {
    const isKnown = ({ code }: Finding) =>
      this.#isComplete || (code !== "totals_differ" && code !== "offsets_unexplained");
    this.#log.add(...findings.filter(isKnown));
  }

  #result(status: "done" | "continue"): ValidationPlan {
    const plan = {
      status,
      run_count: this.#runCount,
      segment_count: this.#segmentCount,
      is_complete: this.#isComplete,
      ...this.#log.result(),
    };
    if (status === "done" || this.#manifest === undefined) return plan;
    const cursor = {
      generation: this.#manifest.generation,
      runs_planned: (this.#request.cursor?.runs_planned ?? 0) + this.#runCount,
      is_complete: this.#isComplete,
      lineages: [...this.#lineages.values()].map(progressOf),
    };
    return { ...plan, cursor };
  }

  #rooted(key: string): string {
    return inBackup(this.#request.backup_id, key);
  }
}

interface RunPart {
  readonly run: RunEntry;
  readonly reference?: ObjectReference & { readonly topic: string };
  /** Whether the run's document could be read. */
  readonly isReadable: boolean;
  /** Of its run. */
  readonly isLast: boolean;
}

function lineageKey(topic: string, partition: number, lineage: number): string {
  return `${topic}/${partition}/${lineage}`;
}

function followedLineages(
  manifest: Manifest | undefined,
  cursor: ValidationCursor | undefined,
): Map<string, FollowedLineage> {
  const followed = new Map<string, FollowedLineage>();
  for (const topic of manifest?.topics ?? []) {
    const isCompacted = topic.config["cleanup.policy"]?.includes("compact") ?? false;
    for (const { partition, lineages } of topic.partitions) {
      for (const state of lineages) {
        followed.set(lineageKey(topic.name, partition, state.lineage), {
          topic: topic.name,
          partition,
          state,
          isCompacted,
          endOffset: undefined,
          totals: emptyTotals(),
        });
      }
    }
  }
  for (const { topic, partition, lineage, end_offset, totals } of cursor?.lineages ?? []) {
    const lineageToGoOn = followed.get(lineageKey(topic, partition, lineage));
    if (lineageToGoOn === undefined) continue;
    lineageToGoOn.endOffset = end_offset;
    lineageToGoOn.totals = { ...totals };
  }
  return followed;
}

/** Runs are only ever added: what an older generation names, the newest names as well. */
function forgottenRuns({ backupId, newest, runs, pages }: ManifestHistory): Finding[] {
  if (newest === undefined) return [];
  const { manifest } = newest;
  const namedPages = new Map(manifest.run_pages.map((page) => [page.key, page.sha256]));
  const forgotten = [...pages.values()].filter((page) => namedPages.get(page.key) !== page.sha256);
  const findings = forgotten.map(({ key }) => {
    const rooted = inBackup(backupId, key);
    const message = `${rooted} is named by an older generation, but not so by the newest`;
    return finding("document_contradicts", message, { key: rooted });
  });
  const count = runCountOf(manifest);
  if (runs.size > count) {
    const message = `older generations name ${runs.size} runs, the newest names only ${count}`;
    findings.push(finding("document_contradicts", message));
  }
  return findings;
}
