/**
 * Phase 1: everything that can be known before the first write to the target is checked, where
 * the groups stood is written down, and then the safety snapshot is taken.
 */
import { formatVersion } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { refuseMembers } from "#core/offsets/change-groups.ts";
import { type KnownGroupPositions, readPositions } from "#core/offsets/positions.ts";
import { isGroupGlob } from "#core/offsets/select-groups.ts";
import { takeSnapshotOf } from "#core/offsets/snapshot.ts";
import { meantRestore } from "#core/restore/identity.ts";
import { planRestore, type RestorePlan } from "#core/restore/plan.ts";
import { preflight, refuseErrors } from "#core/restore/preflight.ts";
import { requestSha256 } from "#core/restore/request.ts";
import { restoresOf } from "#core/restore/restore-record.ts";
import { newRunId } from "#core/run-id.ts";
import {
  setsOffsets,
  type ThreePhaseDeps,
  type ThreePhaseRequest,
  threePhaseSha256,
} from "#core/three-phase/contract.ts";
import type { FirstBackup, SafetySnapshot, ThreePhaseIntent } from "#core/three-phase/documents.ts";
import { type KnownThreePhase, refuseOtherResets } from "#core/three-phase/identity.ts";
import { ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";

/** What is to be restored, and the finished restore that has brought it already. */
export interface PlannedRestore {
  readonly plan: RestorePlan;
  readonly finishedRestoreId: string | undefined;
}

/** What came before the intent of a three-phase restore. */
export interface BeforeIntent {
  readonly startNew: boolean;
  readonly backup: FirstBackup | undefined;
  /** How long it took. */
  readonly durationMs: number;
}

/**
 * Stores the intent. Nothing is written to the target. Throws what planning and
 * preflight of a restore throw, what `readPositions` throws, GroupNotEmptyError,
 * PreflightRefusedError where the strategy cannot work, and BackupConflictError.
 */
export async function beginThreePhase(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  { startNew, backup, durationMs }: BeforeIntent,
): Promise<KnownThreePhase> {
  const startedAtMs = deps.clock.monotonicMs();
  const { plan, finishedRestoreId } = await planOf(deps, request, startNew);
  const known = await positionsFor(deps, request, plan);
  const groups = [...new Set(known.positions.map(({ group }) => group))].sort();
  if (setsOffsets(request.strategy)) await refuseMembers(deps.cluster, groups);
  await refuseOtherResets(deps, groups);

  const { backup_id } = request.restore;
  const restoreSha256 = requestSha256(request.restore);
  const nowMs = deps.clock.nowMs();
  const intent: ThreePhaseIntent = {
    format_version: formatVersion,
    backup_id,
    three_phase_id: newRunId(nowMs, deps.newId()),
    created_at: BigInt(nowMs),
    request_sha256: threePhaseSha256(request),
    restore_request_sha256: restoreSha256,
    target_cluster_id: deps.cluster.clusterId,
    ...(finishedRestoreId !== undefined && { finished_restore_id: finishedRestoreId }),
    start_new: startNew,
    past_restores: await pastRestores(deps, backup_id, restoreSha256),
    groups,
    strategy: request.strategy,
    offset_source: known.offset_source,
    positions: known.positions,
    left_alone: known.left_alone,
    ...(backup !== undefined && { backup_first: backup }),
    duration_ms: Math.round(durationMs + deps.clock.monotonicMs() - startedAtMs),
  };
  return { intent, record: await storeIntent(deps, intent) };
}

/** What no backup helps against is told before one is made. */
export async function refuseEarly(
  { cluster }: Pick<ThreePhaseDeps, "cluster">,
  { strategy, groups, backup_first }: ThreePhaseRequest,
): Promise<void> {
  if (strategy === "skip") {
    throw new BackupError("InvalidRequestError", "strategy skip leaves groups alone", {
      hint: "Choose another restore.consumer_group_strategy, or restore without a reset.",
    });
  }
  if (backup_first === undefined || "all" in groups || !setsOffsets(strategy)) return;
  await refuseMembers(
    cluster,
    groups.groups.filter((name) => !isGroupGlob(name)),
  );
}

/** The restore as it would be planned, refused where `runRestore` would refuse it. */
async function planOf(
  deps: ThreePhaseDeps,
  { restore, strategy }: ThreePhaseRequest,
  startNew: boolean,
): Promise<PlannedRestore> {
  const meant = await meantRestore(deps, restore, startNew);
  if (meant.status === "continued") {
    const { generation } = meant.intent.manifest;
    const plan = await planRestore(deps, { ...restore, generation });
    refuseWithoutHeaders(strategy, meant.intent.include_offset_headers ?? false);
    return { plan, finishedRestoreId: undefined };
  }
  const { plan } = meant;
  refuseWithoutHeaders(strategy, plan.include_offset_headers);
  if (meant.status === "already_done") {
    return { plan, finishedRestoreId: meant.report.restore_id };
  }
  const { findings } = await preflight(deps.cluster, plan, restore, deps.clock.nowMs());
  refuseErrors(findings);
  return { plan, finishedRestoreId: undefined };
}

/** Headers that producers or another tool wrote tell the offsets of another log. */
export function refuseWithoutHeaders(
  strategy: ThreePhaseRequest["strategy"],
  includesHeaders: boolean,
): void {
  if (strategy !== "header-based" || includesHeaders) return;
  throw new BackupError(
    "PreflightRefusedError",
    "strategy header-based reads the header x-original-offset, and this restore adds none",
    {
      hint:
        "Set restore.include_offset_headers: true, or leave consumer_group_strategy out: " +
        "offset-map, the default, is exact without headers.",
    },
  );
}

/** Where the groups stood in the partitions that are restored. */
export function positionsFor(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  plan: RestorePlan,
): Promise<KnownGroupPositions> {
  const { restore, groups, offset_source } = request;
  const source = deps.source ?? deps.cluster;
  if (offset_source === "current") refuseOtherCluster(source, plan.stored.manifest.cluster_id);
  const partitions = plan.topics.flatMap((topic) =>
    topic.partitions.map(({ source_partition, lineage }) => ({
      source_topic: topic.source.name,
      source_partition,
      source_topic_id: lineage.topic_id,
      lineage: lineage.lineage,
    })),
  );
  return readPositions(
    { ...deps, cluster: source },
    {
      backup_id: restore.backup_id,
      groups,
      ...(offset_source !== undefined && { offset_source }),
      ...(restore.window.end !== undefined && { window_end: restore.window.end }),
      partitions,
      targets: {
        cluster_id: deps.cluster.clusterId,
        topics: plan.topics.map(({ target_topic }) => target_topic),
      },
    },
  );
}

function refuseOtherCluster({ clusterId }: Cluster, backupClusterId: string): void {
  if (clusterId === backupClusterId) return;
  throw new BackupError(
    "InvalidRequestError",
    `offset source current asks cluster ${clusterId}, but the backup is of ${backupClusterId}`,
    {
      hint:
        "Name the backup's own cluster in the section `source`, or choose another " +
        "restore.offset_source: latest, at-window-end, snapshot:ID.",
    },
  );
}

async function pastRestores(
  { storage }: ThreePhaseDeps,
  backupId: string,
  restoreSha256: string,
): Promise<string[]> {
  const past: string[] = [];
  for (const record of await restoresOf(storage, backupId)) {
    const intent = await record.intent();
    if (intent?.request_sha256 !== restoreSha256) continue;
    const isOver = (await record.report()) ?? (await record.abandoned());
    if (isOver !== undefined) past.push(record.restoreId);
  }
  return past;
}

/**
 * Leases guard one backup. Two three-phase restores out of different ones that begin at the same
 * moment see each other's intent, and each gives way.
 */
async function storeIntent(
  deps: ThreePhaseDeps,
  intent: ThreePhaseIntent,
): Promise<ThreePhaseRecord> {
  const record = new ThreePhaseRecord(deps.storage, intent.backup_id, intent.three_phase_id);
  await record.writeIntent(intent);
  try {
    await refuseOtherResets(deps, intent.groups, record.id);
    return record;
  } catch (error) {
    await record.writeAbandoned({ abandoned_at: BigInt(deps.clock.nowMs()) });
    throw error;
  }
}

/** R7: durable when it resolves. `before` is what it is to undo. */
export async function takeSafetySnapshot(
  deps: ThreePhaseDeps,
  groups: readonly string[],
  before: string,
): Promise<SafetySnapshot> {
  const { logger } = deps;
  // That a group is not there yet is nothing to warn of: it is about to be made.
  const quiet = { ...logger, warn: logger.debug };
  const taken = await takeSnapshotOf({ ...deps, logger: quiet }, groups, `before ${before}`);
  return { snapshot_id: taken.snapshot_id, taken_at: BigInt(Date.parse(taken.created_at)) };
}
