/** The partitions that failed in work items: told in the bucket, for the end of a run to judge. */
import { z } from "zod";
import { documentBytes, parseState, readIfPresent } from "#core/catalog/documents.ts";
import { BackupError, type ErrorName, errorTable } from "#core/errors.ts";
import { int64 } from "#core/json.ts";
import type { FailedPartition, PartitionFailure } from "#core/partition-failure.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

export const failedPartitionDocument = z.object({
  topic: z.string(),
  partition: z.int(),
  from_offset: int64.optional(),
  error: z.string(),
  message: z.string(),
  hint: z.string(),
});

export const failedPartitions = z.array(failedPartitionDocument);

/** Replaces what was written under the key before. */
export async function writeFailures(
  storage: StorageBackend,
  key: string,
  failed: readonly FailedPartition[],
): Promise<void> {
  await storage.put(key, documentBytes(failed));
}

export async function readFailures(
  storage: StorageBackend,
  key: string,
): Promise<FailedPartition[]> {
  const body = await readIfPresent(storage, key);
  return body === undefined ? [] : parseState(key, body, failedPartitions);
}

/** Of all items, in their order. */
export async function allFailures(
  storage: StorageBackend,
  folder: string,
): Promise<FailedPartition[]> {
  const all: FailedPartition[] = [];
  for await (const { key } of storage.list(folder)) {
    all.push(...parseState(key, await storage.get(key), failedPartitions));
  }
  return all;
}

/** The error that another process told by name and message. */
export function failureOf(failed: FailedPartition): PartitionFailure {
  const { topic, partition, error, message, hint } = failed;
  if (isErrorName(error)) {
    return { topic, partition, cause: new BackupError(error, message, { hint }) };
  }
  const cause = new Error(message);
  cause.name = error;
  return { topic, partition, cause };
}

function isErrorName(name: string): name is ErrorName {
  return Object.hasOwn(errorTable, name);
}
