/**
 * Between plan and reset, where somebody is to approve: the question, and what its answers do.
 *
 * The lease moves every 10 s in the hands of a process, and no process lives for the hours that an
 * approval may take: it is released before the question and taken anew after the answer. What may
 * have changed meanwhile is looked at then: another process may have finished or given up this
 * three-phase restore, or planned an attempt of its own (`resumeRun`); groups may have moved,
 * topics been created anew, members have come (`setOffsets`).
 */
import { formatVersion } from "#core/catalog/manifest.ts";
import { keepingLease, leaseWaitMs } from "#core/catalog/with-lease.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Deadline } from "#core/runtime.ts";
import type { ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { ResetApproval, RolledBackReset } from "#core/three-phase/documents.ts";
import {
  type DistributedThreePhaseResult,
  leaseScopeOf,
  type NotApproved,
  type PlannedRun,
  resultOf,
} from "#core/three-phase/steps/contract.ts";
import { lagOf } from "#core/three-phase/steps/plan-reset.ts";
import {
  preparedRun,
  type RestoredThreePhase,
  releaseThreePhase,
  restoredRun,
} from "#core/three-phase/steps/run.ts";
import { present } from "#core/three-phase/three-phase-record.ts";
import { excerpt } from "#core/work-items/excerpt.ts";

type CatalogDeps = Pick<ThreePhaseDeps, "storage" | "catalog" | "clock">;

export interface Question {
  readonly execution_arn: string;
  /** Step Functions takes it, with an answer, from whoever may send one. */
  readonly task_token: string;
  readonly timeout_secs: number;
}

/** Writes down what is asked, and lets go of the lease. May be repeated with another token. */
export async function askApproval(
  deps: CatalogDeps,
  run: PlannedRun,
  question: Question,
): Promise<ResetApproval> {
  const { record, intent, restored, restore } = await restoredRun(deps, run);
  const plan = present(await record.plan(run.attempt), record, "plan");
  const askedAtMs = deps.clock.nowMs();
  const { execution_arn, task_token, timeout_secs } = question;
  const answer = (decision: string) =>
    `aws stepfunctions send-task-success --task-token '${task_token}' ` +
    `--task-output '{"decision":"${decision}","by":"YOUR NAME"}'`;
  const approval: ResetApproval = {
    format_version: formatVersion,
    backup_id: run.backup_id,
    three_phase_id: run.three_phase_id,
    attempt: run.attempt,
    ...{ execution_arn, task_token },
    asked_at: BigInt(askedAtMs),
    expires_at: BigInt(askedAtMs + timeout_secs * 1000),
    restore_id: restored.restore_id,
    restored_records: restore.record_count,
    strategy: intent.strategy,
    offset_source: plan.offset_source,
    plan: record.keyOfPlan(run.attempt),
    groups: excerpt(
      plan.groups.map(({ group, partitions }) => ({
        group,
        partitions: partitions.length,
        undecided: partitions.filter(({ target_offset }) => target_offset === null).length,
        lag: lagOf(partitions),
      })),
    ),
    left_alone: plan.left_alone.length,
    approve: answer("approve"),
    reject: answer("reject"),
  };
  await record.writeApproval(run.attempt, approval);
  await releaseThreePhase(deps, run);
  return approval;
}

/**
 * The plan is not to be carried out: the attempt is closed, nothing was reset, what was restored
 * stays. The same request plans and asks again.
 */
export async function rejectReset(
  deps: CatalogDeps,
  run: PlannedRun,
  status: NotApproved["status"],
  reason: string,
): Promise<NotApproved> {
  const restoredPhases = await restoredRun(deps, run);
  await closeAttempt(deps, restoredPhases, run.attempt, reason);
  const { restored, snapshot } = restoredPhases;
  const { backup_id, three_phase_id, attempt } = run;
  return {
    ...{ status, backup_id, three_phase_id, attempt, reason },
    restore_id: restored.restore_id,
    safety_snapshot_id: snapshot.snapshot_id,
    message:
      "records are restored and stay, no group was touched; the same input plans and asks again, " +
      `and \`kafka-backup three-phase-restore --abandon ${three_phase_id}\` gives it up`,
  };
}

/** Whoever closed it first, the groups stand as they stood: nothing of it was carried out. */
async function closeAttempt(
  { clock }: CatalogDeps,
  { record }: RestoredThreePhase,
  attempt: number,
  reason: string,
): Promise<void> {
  if ((await record.rolledBack(attempt)) !== undefined) return;
  const plan = present(await record.plan(attempt), record, "plan");
  const closed: RolledBackReset = {
    rolled_back_at: BigInt(clock.nowMs()),
    reason,
    groups: plan.groups.map(({ group }) => ({ group, status: "as_before" })),
  };
  try {
    await record.writeRolledBack(attempt, closed);
  } catch (error) {
    if (!isBackupError(error, "BackupConflictError")) throw error;
  }
}

export type ResumedRun =
  | { readonly status: "planned"; readonly run: PlannedRun }
  /** Another process of the same request was faster. */
  | { readonly status: "already_done"; readonly result: DistributedThreePhaseResult };

/**
 * Takes the lease again to carry out what was approved; it is held when this answers `planned`,
 * and released else. Throws BackupConflictError where others hold it, or have closed the attempt.
 */
export async function resumeRun(
  deps: CatalogDeps,
  run: PlannedRun,
  deadline: Deadline,
): Promise<ResumedRun> {
  const { catalog, clock } = deps;
  const lease = await catalog.acquireLease(leaseScopeOf(run), leaseWaitMs, deadline.signal);
  try {
    return await keepingLease(lease, clock, deadline, async ({ signal }) => {
      const { record } = await preparedRun(deps, run);
      const report = await record.report();
      if (report !== undefined) {
        await lease.release();
        return { status: "already_done", result: resultOf("already_done", report, record) };
      }
      const isOver = await record.isOver();
      const isClosed = (await record.rolledBack(run.attempt)) !== undefined;
      const isNewest = (await record.resetCount()) === run.attempt;
      if (isOver || isClosed || !isNewest) throw notToBeCarriedOut(run, isOver);
      signal.throwIfAborted();
      return { status: "planned", run: { ...run, lease: lease.holder } };
    });
  } catch (error) {
    await lease.release().catch(() => {});
    throw error;
  }
}

function notToBeCarriedOut({ three_phase_id, attempt }: PlannedRun, isOver: boolean): BackupError {
  const what = isOver
    ? `three-phase restore ${three_phase_id} was given up`
    : `plan ${attempt} of three-phase restore ${three_phase_id} was closed, or replaced by another`;
  return new BackupError("BackupConflictError", `${what} while its approval was waited for`, {
    hint: "Nothing was reset. Repeat the request: it plans anew.",
    details: { three_phase_id, attempt },
  });
}
