/**
 * Positions answered by the source offsets that the target's records name. The values ascend
 * within what one restore wrote; where a topic was restored into again, they begin anew, and the
 * *newest ascending run* of them counts.
 */

/** A record of the target, and where its header says that it was in the source. */
export interface HeaderRecord {
  readonly original: bigint;
  readonly target: bigint;
}

/** The newest ascending run so far, and the answer for each position in it. */
export class HeaderRun {
  readonly #positions: readonly bigint[];
  #found = new Map<bigint, HeaderRecord>();
  /** The positions below this index are answered. */
  #next = 0;
  /** Of the run's first record and of its last; -1 before any. */
  #firstOriginal = -1n;
  #lastOriginal = -1n;
  #lastTarget = -1n;
  /** Answers in earlier runs. */
  readonly #older = new Map<bigint, HeaderRecord>();

  /** Positions ascend, none twice. */
  constructor(positions: readonly bigint[]) {
    this.#positions = positions;
  }

  get isEmpty(): boolean {
    return this.#lastOriginal < 0n;
  }

  get isComplete(): boolean {
    return this.#next === this.#positions.length;
  }

  /** The target's next record whose header names an offset. */
  add(original: bigint, target: bigint): void {
    if (this.isEmpty || original <= this.#lastOriginal) this.#begin(original);
    this.#lastOriginal = original;
    this.#lastTarget = target;
    for (; this.#next < this.#positions.length; this.#next++) {
      const position = this.#positions[this.#next]!;
      if (position > original) break;
      this.#found.set(position, { original, target });
    }
  }

  #begin(firstOriginal: bigint): void {
    for (const [position, record] of this.#found) this.#older.set(position, record);
    this.#found = new Map();
    this.#next = 0;
    this.#firstOriginal = firstOriginal;
  }

  /** The run's first record at or after the position. */
  at(position: bigint): HeaderRecord | undefined {
    return this.#found.get(position);
  }

  /** The target offset after the run's last record. */
  get end(): bigint | undefined {
    return this.isEmpty ? undefined : this.#lastTarget + 1n;
  }

  /** What an earlier run has at or after the position and the newest one left out. */
  leftOut(position: bigint): HeaderRecord | undefined {
    const older = this.#older.get(position);
    return older !== undefined && older.original < this.#firstOriginal ? older : undefined;
  }
}
