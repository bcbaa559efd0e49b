/** What a three-phase restore is asked for and answers; the order of its steps is in `run.ts`. */
import { createHash } from "node:crypto";
import type { BackupRequest } from "#core/backup/contract.ts";
import type { BackupError } from "#core/errors.ts";
import { toJson } from "#core/json.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import {
  type GroupSelection,
  type OffsetPlan,
  type OffsetSource,
  type OffsetStrategy,
  reportOnlyStrategies,
} from "#core/offsets/contract.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { type RestoreRequest, requestSha256 } from "#core/restore/request.ts";
import type { RestoreOptions, RestoreResult } from "#core/restore/run.ts";
import type { RolledBackReset, ThreePhaseReport } from "#core/three-phase/documents.ts";

export interface ThreePhaseDeps extends RestoreDeps {
  /**
   * The backup's own cluster, for `backup_first` and for the offset source `current`; the target
   * is asked for `current` where it is that one.
   */
  readonly source?: Cluster;
}

export interface ThreePhaseRequest {
  readonly restore: RestoreRequest;
  /** The groups whose offsets are set. */
  readonly groups: GroupSelection;
  readonly strategy: OffsetStrategy;
  /** `at-window-end` with a window's end, else `latest`, unless said. */
  readonly offset_source?: OffsetSource;
  /** A run of `source` into the same backup, before anything else. */
  readonly backup_first?: BackupRequest;
}

export interface ThreePhaseOptions extends RestoreOptions {
  /** Only continue: where nothing was begun, begin nothing. */
  readonly resume: boolean;
}

/** What an attempt to set offsets left that failed or was stopped. */
export interface FailedResetReport extends RolledBackReset {
  readonly three_phase_id: string;
  readonly restore_id: string;
  /** Where the groups stood before the restore. */
  readonly safety_snapshot_id: string;
  /** Where they stood before this attempt; absent where it did not come so far as to touch any. */
  readonly reset_snapshot_id?: string;
  /** Counted from 1, as in `resets/`. */
  readonly attempt: number;
  /** What it was to carry out, where it came so far. */
  readonly plan?: OffsetPlan;
  readonly phases: ThreePhaseReport["phases"];
}

export interface ThreePhaseResult {
  /**
   * `incomplete`: partitions failed to be restored; no group was touched. `reset_failed` and
   * `reset_stopped`: records are restored, offsets are not set.
   */
  readonly status: "done" | "already_done" | "incomplete" | "reset_failed" | "reset_stopped";
  readonly restore: RestoreResult;
  /** Of a finished one. */
  readonly report?: ThreePhaseReport;
  /** Of a reset that failed or was stopped, and why: what the caller is to throw or to show. */
  readonly failed_reset?: FailedResetReport;
  readonly error?: BackupError;
}

/** Whether the strategy sets offsets, or only says where groups should stand. */
export function setsOffsets(strategy: OffsetStrategy): boolean {
  return !reportOnlyStrategies.includes(strategy);
}

/** By which the same command is recognised: consent and options that change nothing are left out. */
export function threePhaseSha256(request: ThreePhaseRequest): string {
  const { restore, groups, strategy, offset_source, backup_first } = request;
  const asked = {
    restore: requestSha256(restore),
    groups: "all" in groups ? "all" : groups.groups.toSorted(),
    strategy,
    offset_source: offset_source ?? null,
    backup_first: backup_first !== undefined,
  };
  return createHash("sha256").update(toJson(asked)).digest("hex");
}
