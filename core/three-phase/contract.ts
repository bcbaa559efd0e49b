/** What a three-phase restore is asked for and answers; the order of its steps is in `run.ts`. */
import { createHash } from "node:crypto";
import type { BackupRequest } from "#core/backup/contract.ts";
import { toJson } from "#core/json.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import {
  type GroupSelection,
  type OffsetSource,
  type OffsetStrategy,
  reportOnlyStrategies,
} from "#core/offsets/contract.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { type RestoreRequest, requestSha256 } from "#core/restore/request.ts";
import type { RestoreOptions, RestoreResult } from "#core/restore/run.ts";
import type { ThreePhaseReport } from "#core/three-phase/documents.ts";

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

export interface ThreePhaseResult {
  /** `incomplete`: partitions failed to be restored; no group was touched. */
  readonly status: "done" | "already_done" | "incomplete";
  readonly restore: RestoreResult;
  /** Absent while incomplete. */
  readonly report?: ThreePhaseReport;
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
