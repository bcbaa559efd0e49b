/** What an attempt to set offsets has left that was cut off, or that could not be undone. */
import { readSnapshot } from "#core/offsets/snapshot.ts";
import { setsOffsets, type ThreePhaseDeps } from "#core/three-phase/contract.ts";
import type { RolledBackReset } from "#core/three-phase/documents.ts";
import {
  type Attempt,
  type FailedReset,
  failedReset,
  type ResetRequest,
} from "#core/three-phase/failed-reset.ts";
import { stillAsPlanned, undoReset } from "#core/three-phase/undo-reset.ts";

/**
 * Before another attempt: what still stands as the one before set it goes back, so that the next
 * snapshot holds what the groups themselves have committed. Undefined when nothing is left.
 */
export async function undoEarlier(
  deps: ThreePhaseDeps,
  request: ResetRequest,
  number: number,
): Promise<FailedReset | undefined> {
  const { record } = request;
  const { attempt, recorded, isPending, groups } = await putBack(deps, request, number);
  if (!isPending) return undefined;
  const undone: RolledBackReset = {
    rolled_back_at: BigInt(deps.clock.nowMs()),
    reason: `attempt ${number} was cut off`,
    groups,
  };
  if (groups.some(({ status }) => status === "not_rolled_back")) {
    attempt.isSent = true;
    const reason = `what attempt ${number} had set could not be put back`;
    return failedReset(request, attempt, { ...undone, reason });
  }
  if (recorded === undefined) await record.writeRolledBack(number, undone);
  return undefined;
}

/** The same right after the attempt, by another process than the one that failed with it. */
export async function undoAttempt(
  deps: ThreePhaseDeps,
  request: ResetRequest,
  number: number,
  reason: string,
): Promise<FailedReset> {
  const { attempt, recorded, groups } = await putBack(deps, request, number);
  const before = recorded?.groups.filter(({ status }) => status === "as_before") ?? [];
  const all = [...before, ...groups];
  const rolledBack = { rolled_back_at: BigInt(deps.clock.nowMs()), reason, groups: all };
  if (number > 0 && recorded === undefined) {
    await request.record.writeRolledBack(number, rolledBack);
  }
  return failedReset(request, { ...attempt, isSent: all.length > 0 }, rolledBack);
}

interface PutBack {
  readonly attempt: Attempt;
  /** What was written down of it before. */
  readonly recorded: RolledBackReset | undefined;
  /** Whether groups of its plan are not recorded as put back. */
  readonly isPending: boolean;
  /** Those that still stood as they were set. */
  readonly groups: RolledBackReset["groups"];
}

/**
 * An attempt that was cut off may have set a part of its plan, and one that failed may have left
 * groups behind.
 */
async function putBack(
  deps: ThreePhaseDeps,
  { record, safety_snapshot_id }: ResetRequest,
  number: number,
): Promise<PutBack> {
  const nothing = { isPending: false, groups: [] };
  if (number === 0) return { attempt: { number }, recorded: undefined, ...nothing };
  const [plan, recorded, taken] = await Promise.all([
    record.plan(number),
    record.rolledBack(number),
    record.resetSnapshot(number),
  ]);
  if (plan === undefined || !setsOffsets(plan.strategy)) {
    return { attempt: { number }, recorded, ...nothing };
  }
  // Versions that took none for each attempt put groups back to the first one.
  const snapshot = await readSnapshot(deps.storage, taken?.snapshot_id ?? safety_snapshot_id);
  const attempt = { number, snapshot, plan };
  const isBack = (name: string) =>
    recorded?.groups.some(({ group, status }) => group === name && status === "as_before");
  const pending = plan.groups.filter(({ group }) => isBack(group) !== true);
  if (pending.length === 0) return { attempt, recorded, ...nothing };
  const stillSet = await stillAsPlanned(deps, { ...plan, groups: pending });
  const groups = await undoReset(deps, snapshot, stillSet);
  return { attempt, recorded, isPending: true, groups };
}
