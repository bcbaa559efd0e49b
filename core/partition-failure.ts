/** A partition's failure inside a run: one bad partition does not stop the others (K7). */
import { isBackupError } from "#core/errors.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";

export interface PartitionFailure extends FailedPlace {
  readonly cause: unknown;
}

export interface FailedPlace extends TopicPartition {
  /** Where the range begins that failed, of a partition that is read in several. */
  readonly from_offset?: bigint | undefined;
}

/** As results tell it. */
export interface FailedPartition extends FailedPlace {
  /** The error's name. */
  readonly error: string;
  readonly message: string;
  /** Empty where the error has none. */
  readonly hint: string;
}

export function failedPartition({ cause, ...place }: PartitionFailure): FailedPartition {
  const { topic, partition, from_offset } = place;
  const { name, message } = cause instanceof Error ? cause : new Error(String(cause));
  const hint = isBackupError(cause) ? cause.hint : "";
  const range = from_offset === undefined ? {} : { from_offset };
  return { topic, partition, ...range, error: name, message, hint };
}

/** When all of the `partitions` of a run failed for one reason, that is the answer. */
export function throwIfNothingWorked(
  failed: readonly PartitionFailure[],
  partitions: number,
): void {
  const [first] = failed;
  if (first === undefined || failed.length < partitions) return;
  const reasonOf = (cause: unknown) => (isBackupError(cause) ? cause.name : String(cause));
  if (failed.every(({ cause }) => reasonOf(cause) === reasonOf(first.cause))) throw first.cause;
}
