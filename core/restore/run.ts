/**
 * A whole restore in one process, for the command line: lease, plan and preflight, intent, topics,
 * partitions, verification, settings, report. The state machine does the same steps in the same
 * order.
 */
import { byteRateOf } from "#core/byte-rate.ts";
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import {
  type FailedPartition,
  failedPartition,
  type PartitionFailure,
  throwIfNothingWorked,
} from "#core/partition-failure.ts";
import { beginRestore } from "#core/restore/begin.ts";
import type { RestoreDeps, RestorePartitionRequest } from "#core/restore/contract.ts";
import type { PartitionResult, RestoreIntent, TopicPlan } from "#core/restore/documents.ts";
import { finishWholeTopics, storeReport } from "#core/restore/finish.ts";
import {
  partitionRequests,
  restoreWhole,
  runPartitions,
  verifyWhole,
} from "#core/restore/partition-runs.ts";
import {
  type FinishedTopic,
  makeReport,
  type RestorePhase,
  type RestoreReport,
} from "#core/restore/report.ts";
import type { RestoreRequest, RestoreSettings } from "#core/restore/request.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { prepareTopics } from "#core/restore/topics.ts";
import type { Deadline } from "#core/runtime.ts";

export interface RestoreOptions extends RestoreSettings {
  /** Another restore, where the same request was restored before. */
  readonly start_new: boolean;
}

export interface RestoreResult {
  /**
   * `incomplete`: some partitions failed; their topics keep the settings of a restore, and the
   * same request continues it.
   */
  readonly status: "done" | "already_done" | "incomplete";
  readonly report: RestoreReport;
  readonly failed: readonly FailedPartition[];
}

/**
 * Throws what `beginRestore` throws, CancelledError when the deadline comes first, the
 * BackupConflictError of a lost lease and, where every partition failed alike, that failure.
 * After any of them the same request continues the restore.
 */
export async function runRestore(
  deps: RestoreDeps,
  request: RestoreRequest,
  options: RestoreOptions,
  deadline: Deadline,
): Promise<RestoreResult> {
  const scope = restoreScope(request.backup_id, deps.cluster.clusterId);
  return withLease(deps, scope, deadline, (_lease, deadline) =>
    runRestoreUnderLease(deps, request, options, deadline),
  );
}

/** The same for who holds the lease of `restoreScope` already. */
export async function runRestoreUnderLease(
  deps: RestoreDeps,
  request: RestoreRequest,
  options: RestoreOptions,
  deadline: Deadline,
): Promise<RestoreResult> {
  const begun = await beginRestore(deps, request, options.start_new);
  if (begun.status === "already_done") {
    return { status: "already_done", report: begun.report, failed: [] };
  }
  const { restore_id } = begun.intent;
  const what = begun.status === "continued" ? "continuing" : "beginning";
  deps.logger.info(`${what} restore ${restore_id}`, { restore_id });
  const isResumed = begun.status === "continued";
  return new RestoreRun(deps, begun.intent, options, deadline).run(isResumed);
}

class RestoreRun {
  readonly #deps: RestoreDeps;
  readonly #intent: RestoreIntent;
  readonly #options: RestoreOptions;
  readonly #deadline: Deadline;
  readonly #record: RestoreRecord;
  readonly #phases: { phase: RestorePhase; duration_ms: number }[] = [];
  readonly #failed: PartitionFailure[] = [];
  readonly #throttledBeforeMs: number;

  constructor(
    deps: RestoreDeps,
    intent: RestoreIntent,
    options: RestoreOptions,
    deadline: Deadline,
  ) {
    this.#deps = { ...deps, byteRate: byteRateOf(deps.clock, options.max_bytes_per_second) };
    this.#throttledBeforeMs = deps.cluster.throttledMs();
    this.#intent = intent;
    this.#options = options;
    this.#deadline = deadline;
    this.#record = new RestoreRecord(deps.storage, intent.backup_id, intent.restore_id);
  }

  async run(resumed: boolean): Promise<RestoreResult> {
    const requests = await this.#phase("prepare", () => this.#prepare());
    const restored = await this.#phase("restore", () => this.#restore(requests));
    const verified = await this.#phase("verify", () => this.#verify(requests, restored));
    const finished = await this.#phase("put-back", () => this.#finish(verified));
    const throttled_ms = Math.round(this.#deps.cluster.throttledMs() - this.#throttledBeforeMs);
    const report = makeReport(this.#intent, finished, {
      finished_at: BigInt(this.#deps.clock.nowMs()),
      resumed,
      phases: this.#phases,
      ...(throttled_ms > 0 && { throttled_ms }),
    });
    if (this.#failed.length > 0) {
      return { status: "incomplete", report, failed: this.#failed.map(failedPartition) };
    }
    const { catalog } = this.#deps;
    const stored = await storeReport(catalog, this.#record, this.#intent, report);
    return { status: "done", report: stored, failed: [] };
  }

  async #phase<Outcome>(phase: RestorePhase, work: () => Promise<Outcome>): Promise<Outcome> {
    this.#stopWhenPassed();
    this.#deps.logger.info(`restore ${this.#intent.restore_id}: ${phase}`, { phase });
    const { clock } = this.#deps;
    const startedAtMs = clock.monotonicMs();
    const outcome = await work();
    const duration_ms = Math.round(clock.monotonicMs() - startedAtMs);
    this.#phases.push({ phase, duration_ms });
    this.#stopWhenPassed();
    return outcome;
  }

  /** The lost lease, or the user's own wish to stop. */
  #stopWhenPassed(): void {
    if (!this.#deadline.passed()) return;
    const { reason } = this.#deadline.signal;
    if (isBackupError(reason)) throw reason;
    const { restore_id } = this.#intent;
    throw new BackupError(
      "CancelledError",
      `restore ${restore_id} was stopped; what was restored is kept, and its topics keep the ` +
        "settings of a restore until it is finished",
      {
        hint: `Run the same command again to continue it, or give it up with --abandon ${restore_id}.`,
        details: { restore_id },
      },
    );
  }

  async #prepare(): Promise<RestorePartitionRequest[]> {
    const { topics } = this.#intent;
    const targets = await prepareTopics(this.#deps, this.#record, topics, this.#deadline);
    const interval = this.#options.checkpoint_interval_ms;
    return targets.flatMap((target, i) =>
      partitionRequests(this.#intent, topics[i]!, target, interval),
    );
  }

  async #restore(
    requests: readonly RestorePartitionRequest[],
  ): Promise<ReadonlyMap<RestorePartitionRequest, PartitionResult>> {
    const results = new Map<RestorePartitionRequest, PartitionResult>();
    await this.#runAll(requests, await this.#expectedRecords(), async (request) => {
      const result = await restoreWhole(this.#deps, request, this.#deadline);
      if (result !== undefined) results.set(request, result);
      return result;
    });
    return results;
  }

  /** The results of the partitions that are verified. */
  async #verify(
    requests: readonly RestorePartitionRequest[],
    restored: ReadonlyMap<RestorePartitionRequest, PartitionResult>,
  ): Promise<PartitionResult[]> {
    const verified: PartitionResult[] = [];
    let records = 0n;
    for (const { record_count } of restored.values()) records += record_count;
    const pending = requests.filter((request) => restored.has(request));
    await this.#runAll(pending, Number(records), async (request) => {
      const outcome = await verifyWhole(this.#deps, this.#record, request, this.#deadline);
      if (outcome !== undefined) verified.push(restored.get(request)!);
      return outcome;
    });
    return verified;
  }

  async #runAll(
    requests: readonly RestorePartitionRequest[],
    records: number,
    work: (request: RestorePartitionRequest) => Promise<unknown>,
  ): Promise<void> {
    this.#deps.onProgress?.({ kind: "planned", partitions: requests.length, records });
    const limit = this.#options.max_concurrent_partitions;
    const runs = await runPartitions(this.#deps, requests, limit, this.#deadline, work);
    // Told whatever ends the run: a process that lost its lease may have found its own late write.
    for (const { topic, partition, cause } of runs.failed) {
      this.#deps.logger.error(`${topic}-${partition}: ${String(cause)}`, { topic, partition });
    }
    this.#stopWhenPassed();
    throwIfNothingWorked(runs.failed, runs.done.length + runs.failed.length);
    this.#failed.push(...runs.failed);
  }

  /** At most this many: a window leaves records out. */
  async #expectedRecords(): Promise<number> {
    const { backup_id, manifest, topics } = this.#intent;
    const stored = await this.#deps.catalog.readManifest(backup_id, manifest.generation);
    let records = 0;
    for (const plan of topics) {
      const source = stored.manifest.topics.find(({ name }) => name === plan.source_topic);
      for (const { source_partition, lineage } of plan.partitions) {
        const state = source?.partitions.find(({ partition }) => partition === source_partition);
        const chosen = state?.lineages.find((candidate) => candidate.lineage === lineage);
        records += chosen?.totals.record_count ?? 0;
      }
    }
    return records;
  }

  /** Puts back the settings of the topics of which every partition is verified. */
  async #finish(verified: readonly PartitionResult[]): Promise<Map<string, FinishedTopic>> {
    const { topics } = this.#intent;
    const finishing = {
      deps: this.#deps,
      record: this.#record,
      resultsOf: async ({ target_topic }: TopicPlan) =>
        verified.filter((result) => result.target_topic === target_topic),
      bootstrapServers: this.#options.bootstrap_servers,
    };
    const finished = await finishWholeTopics(finishing, topics, this.#deadline);
    return new Map(
      finished.flatMap((topic) => (topic === undefined ? [] : [[topic.target.topic, topic]])),
    );
  }
}
