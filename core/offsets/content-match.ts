/**
 * Finds a record again by its content, and by that of the records behind it where others are
 * equal to it.
 */
import { createHash } from "node:crypto";
import { type RecordCursor, recordOf } from "#core/kafka/records.ts";
import { originalOffsetHeader, originalTimestampHeader } from "#core/restore/offset-headers.ts";

export interface ComparedRecord {
  readonly timestamp: bigint;
  /** SHA-256 of all that a consumer sees but the offset and the headers that a restore adds. */
  readonly content: string;
}

export function comparedRecord(record: RecordCursor): ComparedRecord {
  return { timestamp: record.timestamp, content: contentOf(record) };
}

const addedHeaders: readonly string[] = [originalOffsetHeader, originalTimestampHeader];

function contentOf(cursor: RecordCursor): string {
  const { timestamp, key, value, headers } = recordOf(cursor);
  const own = headers.filter((header) => !addedHeaders.includes(header.key.toString()));
  const fields = [key, value, ...own.flatMap((header) => [header.key, header.value])];
  const hash = createHash("sha256").update(`${timestamp} ${fields.length}`);
  for (const field of fields) {
    hash.update(field === null ? " null " : ` ${field.length} `);
    if (field !== null) hash.update(field);
  }
  return hash.digest("base64");
}

/** The record that is looked for, and those behind it that may tell equal ones apart. */
export const comparedRecordsMax = 256;

/** A place in the target where the first `equal` records are those that are sought. */
interface Place {
  readonly offset: bigint;
  equal: number;
}

export interface SearchResult {
  readonly target_offset: bigint | null;
  /** Why there is none, or what is not sure. */
  readonly note?: string;
}

/** The search for one record, in records that are handed over in ascending order. */
export class RecordSearch {
  readonly from: bigint | undefined;
  readonly #sought: readonly ComparedRecord[];
  /** Places that may still prove to be longer. */
  #open: Place[] = [];
  #best: Place | undefined;
  /** Places as long as the best one. */
  #bestCount = 0;
  #comparedTo = -1n;

  /**
   * `sought` begins with the record that is looked for; no equal one lies before `from`, and none
   * anywhere where that is undefined.
   */
  constructor(sought: readonly ComparedRecord[], from: bigint | undefined) {
    this.#sought = sought;
    this.from = from;
  }

  /**
   * Found by as many records as are ever compared, with no other place in sight. Where the backup
   * ends before, equal records may still come.
   */
  get isSettled(): boolean {
    return this.#open.length === 0 && this.#best?.equal === comparedRecordsMax;
  }

  compare(record: RecordCursor): void {
    const first = this.#sought[0]!;
    this.#comparedTo = record.offset;
    const mayBegin = record.timestamp === first.timestamp;
    if (this.#open.length === 0 && !mayBegin) return;
    const content = contentOf(record);
    const open: Place[] = [];
    for (const place of this.#open) {
      if (this.#sought[place.equal]!.content === content) place.equal += 1;
      else {
        this.#settle(place);
        continue;
      }
      if (place.equal < this.#sought.length) open.push(place);
      else this.#settle(place);
    }
    if (mayBegin && content === first.content) {
      const place = { offset: record.offset, equal: 1 };
      if (this.#sought.length > 1) open.push(place);
      else this.#settle(place);
    }
    this.#open = open;
  }

  #settle(place: Place): void {
    if (this.#best === undefined || place.equal > this.#best.equal) {
      this.#best = place;
      this.#bestCount = 1;
    } else if (place.equal === this.#best.equal) this.#bestCount += 1;
  }

  /** Call it when all records have been compared. */
  result(): SearchResult {
    for (const place of this.#open) this.#settle(place);
    this.#open = [];
    const { timestamp } = this.#sought[0]!;
    if (this.from === undefined) {
      const note = `no match: the target holds no record of its time ${timestamp} or later`;
      return { target_offset: null, note };
    }
    if (this.#best === undefined) {
      const note = `no match: no record of offsets [${this.from}, ${this.#comparedTo + 1n}) is equal`;
      return { target_offset: null, note };
    }
    const { offset, equal } = this.#best;
    if (this.#bestCount > 1) {
      const note =
        `no match: ${this.#bestCount} places are equal in ${equal} records, the first at ` +
        `offset ${offset}`;
      return { target_offset: null, note };
    }
    if (equal === this.#sought.length) return { target_offset: offset };
    const note = `only ${equal} of the ${this.#sought.length} records from there on are equal`;
    return { target_offset: offset, note };
  }
}
