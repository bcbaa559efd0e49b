/**
 * Phase 3: plan, set, read back. A failure puts the groups back to where the safety snapshot has
 * them and is written down; the next attempt begins with a plan of its own.
 */
import { BackupError, isBackupError } from "#core/errors.ts";
import type { GroupOutcome, OffsetPlan, OffsetSnapshot } from "#core/offsets/contract.ts";
import { executePlan } from "#core/offsets/execute.ts";
import { planOffsets } from "#core/offsets/plan.ts";
import { readSnapshot } from "#core/offsets/snapshot.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import type { Deadline } from "#core/runtime.ts";
import { setsOffsets, type ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { RolledBackReset, ThreePhaseReport } from "#core/three-phase/documents.ts";
import type { KnownThreePhase } from "#core/three-phase/identity.ts";
import { undoReset } from "#core/three-phase/undo-reset.ts";

export interface ResetRequest extends KnownThreePhase {
  readonly safety_snapshot_id: string;
  readonly restore_id: string;
}

export interface FinishedReset {
  readonly plan: OffsetPlan;
  readonly groups: ThreePhaseReport["groups"];
  /** Attempts before this one, which failed or were cut off. */
  readonly earlier_resets: number;
}

/**
 * Throws OffsetResetFailedError after the groups were put back, CancelledError likewise when the
 * deadline came first, and the BackupConflictError of a lost lease, after which nothing is
 * touched: another process may be setting the same groups.
 */
export async function resetGroups(
  deps: ThreePhaseDeps,
  request: ResetRequest,
  deadline: Deadline,
): Promise<FinishedReset> {
  const { record, intent } = request;
  const snapshot = await readSnapshot(deps.storage, request.safety_snapshot_id);
  const earlier_resets = await record.resetCount();
  const attempt = earlier_resets + 1;
  // One that was cut off may have set a part of it.
  let plan = earlier_resets === 0 ? undefined : await record.plan(earlier_resets);
  try {
    const known = {
      offset_source: intent.offset_source,
      positions: intent.positions,
      left_alone: intent.left_alone,
    };
    const { backup_id, strategy } = intent;
    const groups = { groups: intent.groups };
    const asked = { backup_id, groups, strategy, restore_id: request.restore_id, known };
    plan = await planOffsets(deps, asked, deadline);
    await record.writePlan(attempt, plan);
    if (!setsOffsets(strategy)) return { plan, groups: plan.groups, earlier_resets };
    const { outcomes } = await executePlan(deps, plan, { clamp: false }, deadline);
    throwFailed(outcomes);
    return { plan, groups: await withCommitted(deps, plan), earlier_resets };
  } catch (cause) {
    for (const reason of [deadline.signal.reason, cause]) {
      if (isBackupError(reason, "BackupConflictError")) throw reason;
    }
    const rolledBack = await rollBack(deps, snapshot, plan, cause);
    const recording = record.writeRolledBack(attempt, rolledBack);
    const unrecorded = await recording.then(() => undefined, messageOf);
    throw resetFailed(request, { ...rolledBack, unrecorded }, deadline, cause);
  }
}

const failuresNamed = 3;

function throwFailed(outcomes: readonly GroupOutcome[]): void {
  const failed = outcomes.filter(({ status }) => status === "failed");
  if (failed.length === 0) return;
  const lines = failed.slice(0, failuresNamed).map(({ group, failures: [first] }) => {
    const where = first === undefined ? "" : `, ${partitionName(first)}: ${first.reason}`;
    return `group ${JSON.stringify(group)}${where}`;
  });
  const more = failed.length > failuresNamed ? `; and ${failed.length - failuresNamed} more` : "";
  throw new Error(`${lines.join("; ")}${more}`);
}

/** Needs the target alone: a store that fails now does not keep groups from being put back. */
async function rollBack(
  deps: ThreePhaseDeps,
  snapshot: OffsetSnapshot,
  plan: OffsetPlan | undefined,
  cause: unknown,
): Promise<RolledBackReset> {
  // Without a plan nothing was sent.
  const groups = plan === undefined ? [] : await undoReset(deps, snapshot, plan);
  return { rolled_back_at: BigInt(deps.clock.nowMs()), reason: messageOf(cause), groups };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function resetFailed(
  { intent, safety_snapshot_id }: ResetRequest,
  { groups, reason, unrecorded }: RolledBackReset & { readonly unrecorded: string | undefined },
  deadline: Deadline,
  cause: unknown,
): BackupError {
  const left = groups.filter(({ status }) => status === "not_rolled_back");
  const details = { three_phase_id: intent.three_phase_id, snapshot_id: safety_snapshot_id };
  if (left.length === 0 && deadline.passed()) {
    return new BackupError(
      "CancelledError",
      `three-phase restore ${intent.three_phase_id} was stopped while it set offsets; the groups ` +
        `stand where they stood before, as in snapshot ${safety_snapshot_id}`,
      { cause, details, hint: "Run the same command again to continue it with the reset." },
    );
  }
  const state =
    left.length === 0
      ? `all groups stand where they stood before, as in snapshot ${safety_snapshot_id}`
      : `NOT put back to snapshot ${safety_snapshot_id}: ` +
        left.map((one) => `group ${JSON.stringify(one.group)} (${one.reason})`).join(", ");
  const back =
    left.length === 0
      ? ""
      : "`kafka-backup offset-rollback rollback --path LOCATION --snapshot-id " +
        `${safety_snapshot_id} --bootstrap-servers TARGET\` puts groups back when they have no ` +
        "members. ";
  return new BackupError(
    "OffsetResetFailedError",
    `records are restored, offsets of groups are not set: ${reason}; ${state}` +
      (unrecorded === undefined ? "" : `; this could not be recorded: ${unrecorded}`),
    {
      cause,
      details,
      hint: `${back}Mend the cause and run three-phase-restore --resume: it repeats the reset alone.`,
    },
  );
}

/** What is committed now, beside what was planned. */
async function withCommitted(
  { cluster }: ThreePhaseDeps,
  plan: OffsetPlan,
): Promise<ThreePhaseReport["groups"]> {
  const committed = await cluster.committedOffsets(plan.groups.map(({ group }) => group));
  if (committed.failed[0] !== undefined) throw committed.failed[0].error;
  const byGroup = new Map(
    committed.groups.map(({ group, offsets }) => [
      group,
      new Map(offsets.map((at) => [partitionName(at), at.offset])),
    ]),
  );
  return plan.groups.map(({ group, partitions }) => ({
    group,
    partitions: partitions.map((planned) => ({
      ...planned,
      committed_offset: byGroup.get(group)?.get(partitionName(planned)) ?? null,
    })),
  }));
}
