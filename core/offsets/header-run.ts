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
  #first: HeaderRecord | undefined;
  #last: HeaderRecord | undefined;
  /** Answers in earlier runs. */
  readonly #older = new Map<bigint, HeaderRecord>();

  /** Positions ascend, none twice. */
  constructor(positions: readonly bigint[]) {
    this.#positions = positions;
  }

  get isEmpty(): boolean {
    return this.#last === undefined;
  }

  get isComplete(): boolean {
    return this.#next === this.#positions.length;
  }

  add(original: bigint, target: bigint): void {
    const record = { original, target };
    if (this.#last === undefined || original <= this.#last.original) this.#begin(record);
    this.#last = record;
    for (; this.#next < this.#positions.length; this.#next++) {
      const position = this.#positions[this.#next]!;
      if (position > original) break;
      this.#found.set(position, record);
    }
  }

  #begin(first: HeaderRecord): void {
    for (const [position, record] of this.#found) this.#older.set(position, record);
    this.#found = new Map();
    this.#next = 0;
    this.#first = first;
  }

  /** The run's first record at or after the position. */
  at(position: bigint): HeaderRecord | undefined {
    return this.#found.get(position);
  }

  /** The target offset after the run's last record. */
  get end(): bigint | undefined {
    return this.#last === undefined ? undefined : this.#last.target + 1n;
  }

  /** What an earlier run has at or after the position and the newest one left out. */
  leftOut(position: bigint): HeaderRecord | undefined {
    const older = this.#older.get(position);
    const first = this.#first;
    return older !== undefined && first !== undefined && older.original < first.original
      ? older
      : undefined;
  }
}
