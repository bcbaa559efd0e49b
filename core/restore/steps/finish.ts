/** The last step: writes the report, lets go of the lease, and tells the result. */
import { keepingLease } from "#core/catalog/with-lease.ts";
import type { RestoreIntent } from "#core/restore/documents.ts";
import { finishedTopics, storeReport } from "#core/restore/finish.ts";
import { knownRestore } from "#core/restore/identity.ts";
import { makeReport, type RestoreReport } from "#core/restore/report.ts";
import type { RestoreRecord } from "#core/restore/restore-record.ts";
import {
  type CatalogDeps,
  type DistributedRestoreResult,
  leaseScopeOf,
  type RestoreJudgement,
  type RestoreRun,
} from "#core/restore/steps/contract.ts";
import { releaseRestore } from "#core/restore/steps/release.ts";
import { resultOf } from "#core/restore/steps/result.ts";
import type { Deadline } from "#core/runtime.ts";

export interface RestoreToFinish {
  readonly run: RestoreRun;
  /** When the topics were ready, Unix milliseconds. */
  readonly prepared_at: bigint;
  readonly judgement: RestoreJudgement;
}

/**
 * Writes the report where nothing failed, which finishes the restore. Idempotent: done again, also
 * after its answer was lost and the lease is gone, it gives the same answer. Throws
 * BackupConflictError when the lease is lost before the report is written.
 */
export async function finishDistributedRestore(
  deps: CatalogDeps,
  toFinish: RestoreToFinish,
  deadline: Deadline,
): Promise<DistributedRestoreResult> {
  const { run, judgement } = toFinish;
  const { failed } = judgement;
  const { record, intent } = await knownRestore(deps.storage, run.backup_id, run.restore_id);
  const isIncomplete = failed.count > 0;
  const report = isIncomplete
    ? await reportOf(deps, record, intent, toFinish)
    : ((await record.report()) ?? (await conclude(deps, record, intent, toFinish, deadline)));
  await releaseRestore(deps, run);
  return resultOf(isIncomplete ? "incomplete" : "done", report, failed);
}

async function conclude(
  deps: CatalogDeps,
  record: RestoreRecord,
  intent: RestoreIntent,
  toFinish: RestoreToFinish,
  deadline: Deadline,
): Promise<RestoreReport> {
  const { run } = toFinish;
  const lease = await deps.catalog.continueLease(leaseScopeOf(run), run.lease);
  return keepingLease(lease, deps.clock, deadline, async () => {
    const report = await reportOf(deps, record, intent, toFinish);
    await lease.renew();
    return storeReport(deps.catalog, record, intent, report);
  });
}

/**
 * Its phases are two, as workers restore and verify side by side: `prepare`, and `restore`, which
 * holds all the rest.
 */
async function reportOf(
  { clock }: CatalogDeps,
  record: RestoreRecord,
  intent: RestoreIntent,
  { run, prepared_at, judgement }: RestoreToFinish,
): Promise<RestoreReport> {
  const finished = await finishedTopics(record, intent.topics);
  const finished_at = BigInt(clock.nowMs());
  const report = makeReport(intent, finished, {
    finished_at,
    resumed: run.resumed,
    phases: [
      { phase: "prepare", duration_ms: durationMs(run.begun_at, prepared_at) },
      { phase: "restore", duration_ms: durationMs(prepared_at, finished_at) },
    ],
  });
  const missing = run.partitions - report.partition_count - judgement.failed.count;
  if (missing === 0) return report;
  throw new Error(`${missing} partitions of ${run.restore_id} are neither verified nor failed`);
}

/** By clocks of two machines: a number to look at. */
function durationMs(from: bigint, to: bigint): number {
  return Math.max(0, Number(to - from));
}
