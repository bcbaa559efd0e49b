/**
 * The first step of a validation: reads every document of a backup, oldest run first, follows the
 * offsets of each lineage, and hands out each segment to be looked at.
 */
import { z } from "zod";
import type { Manifest, RunList } from "#core/catalog/manifest.ts";
import { runCountOf } from "#core/catalog/summary.ts";
import { addSegment, noTotals } from "#core/catalog/totals.ts";
import type { Deadline } from "#core/runtime.ts";
import { inBackup } from "#core/storage/keys.ts";
import {
  checkTotals,
  type FollowedLineage,
  finishLineage,
  followSegment,
  lineageProgress,
  progressOf,
} from "#core/validate/continuity.ts";
import { FindingLog, type LoggedFindings } from "#core/validate/finding-log.ts";
import {
  type Finding,
  type FindingCode,
  finding,
  validationLevels,
} from "#core/validate/findings.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import type { BackupReader, ManifestHistory } from "#core/validate/manifest-history.ts";
import { contradiction, type RunPart, readRunParts } from "#core/validate/run-parts.ts";

/** How far a plan has come. A run that commits meanwhile does no harm: runs are only added. */
export const validationCursor = z.object({
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
  #runTotals = { ...noTotals };
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
    const skipped = this.#request.cursor?.runs_planned ?? 0;
    const parts = this.#manifest ? readRunParts(this.#deps, this.#manifest, skipped) : [];
    for await (const part of parts) {
      deadline.signal.throwIfAborted();
      this.#logDocuments(part);
      if (part.list !== undefined) await this.#followList(part.key, part.list);
      if (part.runsEnded === 0) continue;
      this.#finishRun(part);
      if (deadline.passed()) return this.#result("continue");
    }
    this.#finishLineages();
    return this.#result("done");
  }

  #logDocuments({ findings }: RunPart): void {
    this.#log.add(...findings);
    if (!findings.some(({ code }) => isUnread(code))) return;
    this.#isComplete = false;
    this.#isRunWhole = false;
  }

  async #followList(key: string, list: RunList): Promise<void> {
    const { backup_id, level } = this.#request;
    const { topic } = list;
    for (const { partition, lineage, topic_id, segments } of list.partitions) {
      const followed = this.#lineages.get(lineageKey(topic, partition, lineage));
      const where = `lineage ${lineage} of ${topic}-${partition}`;
      if (followed === undefined) {
        this.#log.add(contradiction(key, `has ${where}, which the manifest does not know`));
      } else if (followed.state.topic_id !== topic_id) {
        const recorded = `the manifest says ${followed.state.topic_id}`;
        this.#log.add(contradiction(key, `has topic id ${topic_id} for ${where}, ${recorded}`));
      }
      for (const segment of segments) {
        const segmentKey = inBackup(backup_id, segment.key);
        if (followed !== undefined) this.#logKnown(followSegment(followed, segment, segmentKey));
        addSegment(this.#runTotals, segment);
        this.#segmentCount += 1;
        await this.#onItem({ backup_id, level, topic, partition, lineage, segment });
      }
    }
  }

  #finishRun({ run, runsEnded }: RunPart): void {
    if (this.#isRunWhole && run !== undefined) {
      const key = inBackup(this.#request.backup_id, run.run.key);
      const what = `the totals of run ${run.run_id}`;
      this.#log.add(...checkTotals(run.totals, this.#runTotals, what, { key }));
    }
    this.#runTotals = { ...noTotals };
    this.#isRunWhole = true;
    this.#runCount += runsEnded;
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
    if (status === "done") return plan;
    const cursor = {
      runs_planned: (this.#request.cursor?.runs_planned ?? 0) + this.#runCount,
      is_complete: this.#isComplete,
      lineages: [...this.#lineages.values()].map(progressOf),
    };
    return { ...plan, cursor };
  }
}

/** Then what the document names is unknown, and sums are not judged. */
function isUnread(code: FindingCode): boolean {
  return code === "document_missing" || code === "document_damaged";
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
          totals: { ...noTotals },
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
