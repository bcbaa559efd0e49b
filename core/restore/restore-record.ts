/** What a restore wrote down, but for its partitions' progress: `restores/{restore_id}/`. */
import type { z } from "zod";
import {
  documentBytes,
  parseDocument,
  parseState,
  readIfPresent,
} from "#core/catalog/documents.ts";
import {
  type AbandonedRestore,
  abandonedRestore,
  type PartitionResult,
  partitionResult,
  type RestoredTopic,
  type RestoreIntent,
  type RestoreTarget,
  restoredTopic,
  restoreIntent,
  restoreTarget,
  type VerifiedPartition,
  verifiedPartition,
} from "#core/restore/documents.ts";
import { type RestoreReport, restoreReport } from "#core/restore/report.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import {
  inBackup,
  restoreAbandonedKey,
  restoredTopicKey,
  restoreIntentKey,
  restorePartitionFolder,
  restoreReportKey,
  restoreResultName,
  restoresFolder,
  restoreTargetKey,
  restoreVerifiedName,
} from "#core/storage/keys.ts";
import { writeOnce } from "#core/storage/write-once.ts";

interface TargetPartition {
  readonly topic: string;
  readonly partition: number;
}

/**
 * Readers answer undefined where nothing was written; writers are write-once. Where two processes
 * may come to tell the same at the same time, the one that comes first counts, for both.
 */
export class RestoreRecord {
  readonly backupId: string;
  readonly restoreId: string;
  readonly #storage: StorageBackend;

  constructor(storage: StorageBackend, backupId: string, restoreId: string) {
    this.#storage = storage;
    this.backupId = backupId;
    this.restoreId = restoreId;
  }

  intent(): Promise<RestoreIntent | undefined> {
    return this.#document(restoreIntentKey(this.restoreId), restoreIntent);
  }

  writeIntent(intent: RestoreIntent): Promise<void> {
    return this.#write(restoreIntentKey(this.restoreId), intent);
  }

  target(topic: string): Promise<RestoreTarget | undefined> {
    return this.#state(restoreTargetKey(this.restoreId, topic), restoreTarget);
  }

  /**
   * What is written there then. Settings are changed only afterwards, so the first one written
   * tells what they were before.
   */
  async writeTarget(target: RestoreTarget): Promise<RestoreTarget> {
    await this.#writeFirst(restoreTargetKey(this.restoreId, target.topic), target);
    return (await this.target(target.topic)) ?? target;
  }

  result(at: TargetPartition): Promise<PartitionResult | undefined> {
    return this.#state(this.#partitionKey(at, restoreResultName), partitionResult);
  }

  verified(at: TargetPartition): Promise<VerifiedPartition | undefined> {
    return this.#state(this.#partitionKey(at, restoreVerifiedName), verifiedPartition);
  }

  writeVerified(at: TargetPartition, verified: VerifiedPartition): Promise<void> {
    return this.#writeFirst(this.#partitionKey(at, restoreVerifiedName), verified);
  }

  restoredTopic(topic: string): Promise<RestoredTopic | undefined> {
    return this.#state(restoredTopicKey(this.restoreId, topic), restoredTopic);
  }

  /** What is written there then. */
  async writeRestoredTopic(restored: RestoredTopic): Promise<RestoredTopic> {
    await this.#writeFirst(restoredTopicKey(this.restoreId, restored.topic), restored);
    return (await this.restoredTopic(restored.topic)) ?? restored;
  }

  report(): Promise<RestoreReport | undefined> {
    return this.#document(restoreReportKey(this.restoreId), restoreReport);
  }

  /** What is written there then. */
  async writeReport(report: RestoreReport): Promise<RestoreReport> {
    await this.#writeFirst(restoreReportKey(this.restoreId), report);
    return (await this.report()) ?? report;
  }

  abandoned(): Promise<AbandonedRestore | undefined> {
    return this.#state(restoreAbandonedKey(this.restoreId), abandonedRestore);
  }

  writeAbandoned(abandoned: AbandonedRestore): Promise<void> {
    return this.#write(restoreAbandonedKey(this.restoreId), abandoned);
  }

  #partitionKey({ topic, partition }: TargetPartition, name: string): string {
    return `${restorePartitionFolder(this.restoreId, topic, partition)}${name}`;
  }

  /** Documents that outlive an update of the software have a version. */
  async #document<T>(key: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const path = inBackup(this.backupId, key);
    const body = await readIfPresent(this.#storage, path);
    return body === undefined ? undefined : parseDocument(path, body, schema);
  }

  async #state<T>(key: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const path = inBackup(this.backupId, key);
    const body = await readIfPresent(this.#storage, path);
    return body === undefined ? undefined : parseState(path, body, schema);
  }

  async #writeFirst(key: string, value: unknown): Promise<void> {
    await this.#storage.createIfAbsent(inBackup(this.backupId, key), documentBytes(value));
  }

  #write(key: string, value: unknown): Promise<void> {
    return writeOnce(this.#storage, inBackup(this.backupId, key), documentBytes(value));
  }
}

/** The restores that were ever begun out of a backup, oldest first (their ids begin with a time). */
export async function restoresOf(
  storage: StorageBackend,
  backupId: string,
): Promise<RestoreRecord[]> {
  const records: RestoreRecord[] = [];
  for await (const restoreId of storage.listFolders(inBackup(backupId, restoresFolder))) {
    records.push(new RestoreRecord(storage, backupId, restoreId));
  }
  return records;
}
