/** One turn of a worker at the partitions of its work item. */
import pLimit from "p-limit";
import { isBackupError } from "#core/errors.ts";
import {
  type FailedPartition,
  type FailedPlace,
  failedPartition,
} from "#core/partition-failure.ts";
import type { Clock, Deadline } from "#core/runtime.ts";

/**
 * Ends `turnMs` after it began, but not before its first records have moved: else turns that are
 * too short to open a partition would follow one another for ever.
 */
export class Turn implements Deadline {
  readonly signal: AbortSignal;
  readonly #clock: Clock;
  readonly #deadline: Deadline;
  readonly #endsAtMs: number;
  #hasMoved = false;

  constructor(clock: Clock, turnMs: number, deadline: Deadline) {
    this.signal = deadline.signal;
    this.#clock = clock;
    this.#deadline = deadline;
    this.#endsAtMs = clock.monotonicMs() + turnMs;
  }

  /** Records came, or went: from now on the turn may end. */
  hasMoved(): void {
    this.#hasMoved = true;
  }

  passed(): boolean {
    return this.#deadline.passed() || this.remainingMs() <= 0;
  }

  remainingMs(): number {
    const remainingMs = this.#deadline.remainingMs();
    if (!this.#hasMoved) return remainingMs;
    return Math.min(remainingMs, this.#endsAtMs - this.#clock.monotonicMs());
  }
}

export interface TurnEnd {
  /** Pieces of work that are neither done nor failed. */
  readonly left: number;
  readonly failed: readonly FailedPartition[];
}

/** Does `work` with each, several at a time, until the deadline; a failure stops no other (K7). */
export async function workThrough<Work>(
  all: readonly Work[],
  concurrent: number,
  deadline: Deadline,
  placeOf: (one: Work) => FailedPlace,
  work: (one: Work) => Promise<"done" | "continue">,
): Promise<TurnEnd> {
  const failed: FailedPartition[] = [];
  let left = 0;
  await pLimit(concurrent).map(all, async (one) => {
    if (deadline.passed()) {
      left += 1;
      return;
    }
    try {
      if ((await work(one)) === "continue") left += 1;
    } catch (cause) {
      // Another worker is on it, one that was given up too early: the next turn sees how far it came.
      if (isBackupError(cause, "BackupConflictError")) left += 1;
      else failed.push(failedPartition({ ...placeOf(one), cause }));
    }
  });
  return { left, failed };
}
