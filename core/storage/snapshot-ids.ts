/**
 * Ids of offset snapshots. Those that this software makes, `snapshot-20260131T120000Z-0a1b2c3d`,
 * begin with the second in which the offsets had been read, so that one that is too young or too old is
 * passed over unread. Any other id that a key may hold is read to know its time.
 */
import { newRunId } from "#core/run-id.ts";

export function newSnapshotId(readAtMs: number, id: string): string {
  return `snapshot-${newRunId(readAtMs, id)}`;
}

const timePattern = /^snapshot-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{8}$/;

/** The beginning of that second, Unix milliseconds; undefined for an id that says no time. */
export function secondOfSnapshot(snapshotId: string): bigint | undefined {
  const [, ...parts] = timePattern.exec(snapshotId) ?? [];
  const [year, month, day, hour, minute, second] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : BigInt(ms);
}

const keyPattern = /^snapshots\/([A-Za-z0-9_-][A-Za-z0-9._-]{0,199})\.json$/;

/** Of the key of a snapshot; undefined for what else lies there. */
export function snapshotIdOf(key: string): string | undefined {
  return keyPattern.exec(key)?.[1];
}
