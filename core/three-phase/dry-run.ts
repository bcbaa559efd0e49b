/** What a three-phase restore would do. Reads only: neither Kafka nor the store is written to. */
import { BackupError } from "#core/errors.ts";
import type { OffsetPlan, OffsetSource, OffsetStrategy } from "#core/offsets/contract.ts";
import { planOffsets } from "#core/offsets/plan.ts";
import type { GroupPosition, KnownGroupPositions } from "#core/offsets/positions.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";
import type { TopicPlan } from "#core/restore/documents.ts";
import { type DryRun, dryRunRestore } from "#core/restore/dry-run.ts";
import { planRestore, type RestorePlan } from "#core/restore/plan.ts";
import type { Deadline } from "#core/runtime.ts";
import {
  setsOffsets,
  type ThreePhaseDeps,
  type ThreePhaseRequest,
  threePhaseSha256,
} from "#core/three-phase/contract.ts";
import { estimateOffsets } from "#core/three-phase/estimate-offsets.ts";
import { finishedThreePhase, threePhaseToContinue } from "#core/three-phase/identity.ts";
import { positionsFor, refuseWithoutHeaders } from "#core/three-phase/prepare.ts";

/** What the checks of the groups have found (R4). */
export interface GroupFinding {
  readonly severity: "error" | "warning" | "info";
  /** Stable, for scripts. */
  readonly code: "group-has-members" | "group-unreadable" | "no-position" | "no-headers";
  readonly group?: string;
  readonly message: string;
  readonly remedy: string;
}

export interface ExpectedOffset {
  readonly topic: string;
  readonly partition: number;
  readonly source_topic: string;
  readonly source_partition: number;
  readonly source_offset: bigint;
  readonly source_read_at: bigint;
  /** Null where only the restore can tell. */
  readonly target_offset: bigint | null;
  readonly note?: string | undefined;
}

export interface ThreePhaseDryRun {
  readonly would: "begin" | "continue" | "already_done" | "refuse";
  /** Of the one that is continued or was finished. */
  readonly three_phase_id: string | undefined;
  readonly restore: DryRun;
  readonly strategy: OffsetStrategy;
  readonly offset_source: OffsetSource;
  readonly groups: readonly {
    readonly group: string;
    readonly partitions: readonly ExpectedOffset[];
  }[];
  readonly left_alone: OffsetPlan["left_alone"];
  readonly findings: readonly GroupFinding[];
}

/** Throws what `dryRunRestore` throws; what speaks against the groups is in the findings. */
export async function dryRunThreePhase(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  startNew: boolean,
  deadline: Deadline,
): Promise<ThreePhaseDryRun> {
  const { strategy, restore: asked } = request;
  const restore = await dryRunRestore(deps, asked, startNew);
  const sha256 = threePhaseSha256(request);
  const { backup_id } = asked;
  const finished = startNew ? undefined : await finishedThreePhase(deps, backup_id, sha256);
  const unfinished = startNew ? undefined : await threePhaseToContinue(deps, backup_id, sha256);
  const plan = await planRestore(deps, { ...asked, generation: restore.generation });
  const findings: GroupFinding[] = [];
  const known = unfinished?.intent ?? (await positionsOrFinding(deps, request, plan, findings));
  const groups = [...new Set((known?.positions ?? []).map(({ group }) => group))].sort();
  if (finished === undefined) {
    checkHeaders(strategy, plan, findings);
    if (setsOffsets(strategy)) findings.push(...(await memberFindings(deps, groups)));
  }
  const expected = await expectedOffsets(deps, request, restore, plan, known, deadline);
  const byGroup = Map.groupBy(expected, ({ group }) => group);
  const isRefused = restore.would === "refuse" || findings.some((one) => one.severity === "error");
  const otherwise = unfinished === undefined ? "begin" : "continue";
  const would = finished === undefined ? (isRefused ? "refuse" : otherwise) : "already_done";
  return {
    would,
    three_phase_id: finished?.report.three_phase_id ?? unfinished?.intent.three_phase_id,
    restore,
    strategy,
    offset_source: known?.offset_source ?? askedSource(request),
    groups: groups.map((group) => ({
      group,
      partitions: (byGroup.get(group) ?? []).map(({ group: _, ...offset }) => offset),
    })),
    left_alone: known?.left_alone ?? [],
    findings,
  };
}

/** What the request says of itself, where the positions were not found. */
function askedSource({ offset_source, restore: { window } }: ThreePhaseRequest): OffsetSource {
  return offset_source ?? (window.end === undefined ? "latest" : "at-window-end");
}

async function positionsOrFinding(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  plan: RestorePlan,
  findings: GroupFinding[],
): Promise<KnownGroupPositions | undefined> {
  return orFinding("no-position", findings, () => positionsFor(deps, request, plan));
}

function checkHeaders(strategy: OffsetStrategy, plan: RestorePlan, findings: GroupFinding[]): void {
  try {
    refuseWithoutHeaders(strategy, plan.include_offset_headers);
  } catch (error) {
    findings.push(findingOf("no-headers", error));
  }
}

const refusals = ["PreflightRefusedError", "InvalidRequestError", "SnapshotNotFoundError"] as const;

async function orFinding<T>(
  code: GroupFinding["code"],
  findings: GroupFinding[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    findings.push(findingOf(code, error));
    return undefined;
  }
}

/** Anything but a refusal is not this configuration's fault, and is thrown. */
function findingOf(code: GroupFinding["code"], error: unknown): GroupFinding {
  const isRefusal = error instanceof BackupError && refusals.some((name) => name === error.name);
  if (!isRefusal) throw error;
  return { severity: "error", code, message: error.message, remedy: error.hint };
}

async function memberFindings(
  { cluster }: ThreePhaseDeps,
  groups: readonly string[],
): Promise<GroupFinding[]> {
  const described = await cluster.describeGroups(groups);
  return described.flatMap((result): GroupFinding[] => {
    const { group } = result;
    if ("error" in result) {
      const { message } = result.error;
      const remedy = "Grant DESCRIBE on the group, or leave it out.";
      return [{ severity: "error", code: "group-unreadable", group, message, remedy }];
    }
    if (result.members.length === 0) return [];
    const members = result.members.map(({ clientId, host }) => `${clientId} on ${host}`);
    const message = `has members: ${members.join(", ")}`;
    const remedy = "Stop the group's consumers and wait for their session to end.";
    return [{ severity: "error", code: "group-has-members", group, message, remedy }];
  });
}

type GroupOffset = ExpectedOffset & { readonly group: string };

async function expectedOffsets(
  deps: ThreePhaseDeps,
  { strategy, restore: { backup_id } }: ThreePhaseRequest,
  restore: DryRun,
  plan: RestorePlan,
  known: Pick<KnownGroupPositions, "offset_source" | "positions" | "left_alone"> | undefined,
  deadline: Deadline,
): Promise<GroupOffset[]> {
  if (known === undefined || known.positions.length === 0) return [];
  if (restore.would === "already_done" && restore.restore_id !== undefined) {
    const groups = { groups: known.positions.map(({ group }) => group) };
    const asked = { backup_id, groups, strategy, restore_id: restore.restore_id, known };
    const { groups: planned } = await planOffsets(deps, asked, deadline);
    return planned.flatMap(({ group, partitions }) => partitions.map((one) => ({ ...one, group })));
  }
  // The other strategies look into the target, which holds nothing yet.
  const countsRecords = ["offset-map", "header-based", "manual"].includes(strategy);
  const targets = restore.topics.flatMap(({ target }) => (target === undefined ? [] : [target]));
  const bases = await basesOf(deps, restore, targets);
  const estimates = await estimateOffsets(deps.catalog, plan, known.positions);
  return estimates.map(({ position, topic, partition, recordsBefore }) => {
    const base = bases(topic, partition);
    const isKnown = countsRecords && base !== undefined && recordsBefore !== undefined;
    return {
      ...placeOf(position),
      ...{ topic, partition },
      target_offset: isKnown ? base + recordsBefore : null,
      ...(!isKnown && { note: "known when the records are restored" }),
    };
  });
}

function placeOf(position: GroupPosition) {
  const { group, source_topic, source_partition, offset, read_at } = position;
  return { group, source_topic, source_partition, source_offset: offset, source_read_at: read_at };
}

/** Where the first restored record of a target partition would be; undefined where not known. */
async function basesOf(
  { cluster }: ThreePhaseDeps,
  { would }: DryRun,
  targets: readonly TopicPlan[],
): Promise<(topic: string, partition: number) => bigint | undefined> {
  const bases = new Map<string, bigint>();
  if (would !== "begin") return () => undefined;
  for (const { target_topic: topic, target_topic_id, partitions } of targets) {
    for (const { target_partition: partition } of partitions) {
      const at = { topic, partition };
      const base = target_topic_id === null ? 0n : (await cluster.logEndOffset(at)).endOffset;
      bases.set(partitionName(at), base);
    }
  }
  return (topic, partition) => bases.get(partitionName({ topic, partition }));
}
