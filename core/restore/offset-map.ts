/**
 * Where each source offset went. A run says that `count` records from source offset
 * `sourceOffset` on, one after the other, are in the target from `targetOffset` on; a partition
 * without holes is one run, a transactional one has a run per transaction.
 *
 * Stored in parts (`map-{sequence}-{attempt}.bin`), each a sequence of runs in ascending order,
 * as unsigned LEB128 varints counted from the end of the run before (from 0 at a part's start):
 *
 *   Run => SourceSkip  UVARINT   source offsets left out since the run before
 *          TargetSkip  UVARINT   target offsets left out since the run before
 *          Count       UVARINT   records
 */
import { BackupError } from "#core/errors.ts";

export interface OffsetRun {
  readonly sourceOffset: bigint;
  readonly targetOffset: bigint;
  readonly count: bigint;
}

/** Collects runs in ascending order and merges those that adjoin. */
export class OffsetMapBuilder {
  #runs: OffsetRun[] = [];
  #last: { sourceOffset: bigint; targetOffset: bigint; count: bigint } | undefined;

  add(sourceOffset: bigint, targetOffset: bigint, count: number): void {
    const last = this.#last;
    const added = BigInt(count);
    if (
      last !== undefined &&
      sourceOffset === last.sourceOffset + last.count &&
      targetOffset === last.targetOffset + last.count
    ) {
      last.count += added;
      return;
    }
    this.#last = { sourceOffset, targetOffset, count: added };
    this.#runs.push(this.#last);
  }

  /** The runs since the last call. */
  take(): OffsetRun[] {
    const runs = this.#runs;
    this.#runs = [];
    this.#last = undefined;
    return runs;
  }
}

/** A part of the map as it is stored. */
export function encodeOffsetRuns(runs: readonly OffsetRun[]): Buffer {
  const bytes: number[] = [];
  let source = 0n;
  let target = 0n;
  for (const run of runs) {
    writeUvarint(bytes, run.sourceOffset - source);
    writeUvarint(bytes, run.targetOffset - target);
    writeUvarint(bytes, run.count);
    source = run.sourceOffset + run.count;
    target = run.targetOffset + run.count;
  }
  return Buffer.from(bytes);
}

/** Throws CorruptManifestError, naming the key, for bytes that no encoder wrote. */
export function decodeOffsetRuns(bytes: Uint8Array, key: string): OffsetRun[] {
  const runs: OffsetRun[] = [];
  const reader: MapReader = { bytes, position: 0, key };
  let source = 0n;
  let target = 0n;
  while (reader.position < bytes.length) {
    const sourceOffset = source + readUvarint(reader);
    const targetOffset = target + readUvarint(reader);
    const count = readUvarint(reader);
    source = sourceOffset + count;
    target = targetOffset + count;
    if (count === 0n || source > offsetMax || target > offsetMax) throw malformed(reader);
    runs.push({ sourceOffset, targetOffset, count });
  }
  return runs;
}

/** The runs of consecutive parts as one list, adjoining runs merged over the parts' borders. */
export function mergeOffsetRuns(parts: Iterable<readonly OffsetRun[]>): OffsetRun[] {
  const merged: OffsetRun[] = [];
  for (const run of flatten(parts)) {
    const last = merged.at(-1);
    const adjoins =
      last !== undefined &&
      run.sourceOffset === last.sourceOffset + last.count &&
      run.targetOffset === last.targetOffset + last.count;
    if (adjoins) merged[merged.length - 1] = { ...last, count: last.count + run.count };
    else merged.push(run);
  }
  return merged;
}

function* flatten(parts: Iterable<readonly OffsetRun[]>): Iterable<OffsetRun> {
  for (const part of parts) yield* part;
}

/**
 * The target offset of the first restored record whose source offset is not below `offset`;
 * `restoredEnd`, the offset after the last restored record, when there is none (R3).
 */
export function translateOffset(
  runs: readonly OffsetRun[],
  offset: bigint,
  restoredEnd: bigint,
): bigint {
  let low = 0;
  let high = runs.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const run = runs[middle]!;
    if (run.sourceOffset + run.count <= offset) low = middle + 1;
    else high = middle;
  }
  const run = runs[low];
  if (run === undefined) return restoredEnd;
  return offset <= run.sourceOffset
    ? run.targetOffset
    : run.targetOffset + (offset - run.sourceOffset);
}

function writeUvarint(bytes: number[], value: bigint): void {
  let rest = value;
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
}

const offsetMax = 2n ** 63n - 1n;
/** 63 bits of an offset in groups of 7. */
const uvarintBytesMax = 9;

interface MapReader {
  readonly bytes: Uint8Array;
  position: number;
  readonly key: string;
}

function readUvarint(reader: MapReader): bigint {
  let value = 0n;
  for (let i = 0; i < uvarintBytesMax; i++) {
    const byte = reader.bytes[reader.position++];
    if (byte === undefined) break;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    const isPadded = byte === 0 && i > 0;
    if (isPadded) break;
    if (byte < 0x80) return value;
  }
  throw malformed(reader);
}

function malformed({ key, position }: MapReader): BackupError {
  const message = `offset map ${key} is malformed at byte ${position}`;
  return new BackupError("CorruptManifestError", message);
}
