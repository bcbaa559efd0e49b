/** The worker's step: one turn at the segments of one work item. */
import pLimit from "p-limit";
import { parseState } from "#core/catalog/documents.ts";
import { isRetryable } from "#core/errors.ts";
import type { Deadline } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import {
  validationItemKey,
  validationResultKey,
  validationResultsFolder,
} from "#core/storage/validation-keys.ts";
import { SegmentResults } from "#core/validate/finish.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import {
  concurrentSegments,
  type SegmentValidation,
  validateSegment,
} from "#core/validate/segment.ts";
import {
  type ItemDocument,
  itemDocument,
  type SegmentsPart,
  type SegmentsRequest,
  type SegmentsTurn,
  segmentsPart,
  type UncheckedSegment,
  type ValidationDeps,
} from "#core/validate/steps/contract.ts";
import { readParts, writePart } from "#core/validate/steps/parts.ts";
import { excerpt } from "#core/work-items/excerpt.ts";
import { Turn } from "#core/work-items/turn.ts";

type WorkDeps = Pick<ValidationDeps, "storage" | "clock">;

/**
 * Looks at the item's segments until all are done, or `deadline` comes, or the turn is over,
 * `turnMs` after it began; but at one segment at least. A segment that nobody may read, or that is
 * of a later format, is written down and stops no other. Throws StorageUnavailableError and
 * ThrottledError, with what was done written down, so that a repetition goes on from there.
 */
export async function validateWorkItem(
  deps: WorkDeps,
  request: SegmentsRequest,
  turnMs: number,
  deadline: Deadline,
): Promise<SegmentsTurn> {
  const { storage } = deps;
  const parts = await itemParts(storage, request);
  const pending = pendingOf(request, parts);
  if (pending.length === 0) return { status: "done", bytes: 0, records: 0, segments_left: 0 };
  const segments = await readItem(storage, request);
  const looking = new Looking(deps, request, segments, deadline);
  await looking.lookAt(pending, new Turn(deps.clock, turnMs, deadline));
  const part = looking.part(pending, parts.at(-1)?.next ?? 0);
  const key = validationResultKey(request.validation, request.item.number, parts.length);
  const isWritten = await writePart(storage, key, part);
  if (looking.failure !== undefined) throw looking.failure.error;
  const left = isWritten ? pendingOf(request, [part]).length : pending.length;
  const { bytes, records } = part.read;
  return { status: left > 0 ? "continue" : "done", bytes, records, segments_left: left };
}

/**
 * A worker that failed as a whole, after all its repetitions: each segment of its item that was not
 * looked at is unchecked for this reason.
 */
export async function giveUpWorkItem(
  { storage }: Pick<WorkDeps, "storage">,
  request: SegmentsRequest,
  failure: { readonly error: string; readonly message: string },
): Promise<void> {
  for (;;) {
    const parts = await itemParts(storage, request);
    const pending = pendingOf(request, parts);
    if (pending.length === 0) return;
    const segments = await readItem(storage, request);
    const unchecked = pending.map((number) =>
      uncheckedSegment(itemOf(request, segments, number), failure),
    );
    const part: SegmentsPart = {
      next: segments.length,
      unfinished: [],
      read: { bytes: 0, batches: 0, records: 0 },
      unchecked: excerpt(unchecked),
      ...{ findings: [], counts: { error: 0, warning: 0, info: 0 }, left_out: 0 },
    };
    const key = validationResultKey(request.validation, request.item.number, parts.length);
    // A worker that was given up too early may have come first: then less is left.
    if (await writePart(storage, key, part)) return;
  }
}

export function itemParts(
  storage: StorageBackend,
  { validation, item }: SegmentsRequest,
): Promise<SegmentsPart[]> {
  const keyOf = (turn: number) => validationResultKey(validation, item.number, turn);
  const folder = validationResultsFolder(validation, item.number);
  return readParts(storage, folder, keyOf, segmentsPart);
}

/** Numbers of the item's segments that no turn has looked at from end to end. */
export function pendingOf({ item }: SegmentsRequest, parts: readonly SegmentsPart[]): number[] {
  const { next, unfinished } = parts.at(-1) ?? { next: 0, unfinished: [] };
  const rest = Math.max(0, item.segments - next);
  return [...unfinished, ...Array.from({ length: rest }, (_, i) => next + i)];
}

async function readItem(
  storage: StorageBackend,
  { validation, item }: SegmentsRequest,
): Promise<ItemDocument> {
  const key = validationItemKey(validation, item.number, item.attempt);
  return parseState(key, await storage.get(key), itemDocument);
}

function itemOf(
  { validation: { backup_id, level } }: SegmentsRequest,
  segments: ItemDocument,
  number: number,
): ValidationItem {
  return { backup_id, level, ...segments[number]! };
}

function uncheckedSegment(
  { backup_id, topic, partition, segment }: ValidationItem,
  failure: { readonly error: string; readonly message: string },
): UncheckedSegment {
  return { topic, partition, key: inBackup(backup_id, segment.key), ...failure };
}

/** What became of the segments that one turn looked at. */
class Looking {
  /** What a pause may mend. */
  failure: { readonly error: unknown } | undefined;
  readonly #deps: WorkDeps;
  readonly #request: SegmentsRequest;
  readonly #segments: ItemDocument;
  readonly #deadline: Deadline;
  readonly #results = new Map<number, SegmentValidation>();
  readonly #unchecked: UncheckedSegment[] = [];
  readonly #unfinished: number[] = [];
  #begun = 0;

  constructor(
    deps: WorkDeps,
    request: SegmentsRequest,
    segments: ItemDocument,
    deadline: Deadline,
  ) {
    this.#deps = deps;
    this.#request = request;
    this.#segments = segments;
    this.#deadline = deadline;
  }

  /** Begins no segment when `turn` is over; those under way have until the deadline. */
  async lookAt(pending: readonly number[], turn: Turn): Promise<void> {
    const width = concurrentSegments[this.#request.validation.level];
    await pLimit(width).map(pending, async (number) => {
      if (this.failure !== undefined || turn.passed()) return;
      turn.hasMoved();
      this.#begun += 1;
      await this.#lookAt(number);
    });
  }

  async #lookAt(number: number): Promise<void> {
    const item = itemOf(this.#request, this.#segments, number);
    try {
      const result = await validateSegment(this.#deps, item, this.#deadline);
      if (result.status === "done") this.#results.set(number, result);
      else this.#unfinished.push(number);
    } catch (error) {
      if (isRetryable(error) || this.#deadline.signal.aborted) {
        this.failure ??= { error };
        this.#unfinished.push(number);
        return;
      }
      const { name, message } = error instanceof Error ? error : new Error(String(error));
      this.#unchecked.push(uncheckedSegment(item, { error: name, message }));
    }
  }

  /** Of `pending`, in its order, the first were begun. `next`: as the turn before left it. */
  part(pending: readonly number[], next: number): SegmentsPart {
    const begun = pending.slice(0, this.#begun);
    const results = new SegmentResults();
    for (const number of begun.toSorted((a, b) => a - b)) {
      const result = this.#results.get(number);
      if (result !== undefined) results.add(result);
    }
    const notBegun = pending.slice(this.#begun).filter((number) => number < next);
    const { findings, ...logged } = results.findings();
    return {
      next: Math.max(next, (begun.at(-1) ?? -1) + 1),
      unfinished: [...this.#unfinished, ...notBegun].sort((a, b) => a - b),
      read: { ...results.read },
      unchecked: excerpt(this.#unchecked),
      ...logged,
      findings: [...findings],
    };
  }
}
