/** What there is of a backup's three-phase restores where none is the one to be resumed. */
import { BackupError } from "#core/errors.ts";
import { isGroupGlob } from "#core/offsets/select-groups.ts";
import { requestSha256 } from "#core/restore/request.ts";
import {
  type ThreePhaseDeps,
  type ThreePhaseRequest,
  threePhaseSha256,
} from "#core/three-phase/contract.ts";
import type { ThreePhase } from "#core/three-phase/documents.ts";
import { type KnownThreePhase, restoreWithin } from "#core/three-phase/identity.ts";
import { type ThreePhaseRecord, threePhasesOf } from "#core/three-phase/three-phase-record.ts";

/** The BackupNotFoundError that names the one that was probably meant, and why it is not. */
export async function nothingToResume(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
): Promise<BackupError> {
  const { backup_id } = request.restore;
  const none =
    `no three-phase restore of this configuration out of backup "${backup_id}" ` +
    "is there to be continued";
  const known = await knownInto(deps, backup_id);
  const unfinished = await firstUnfinished(known);
  if (unfinished !== undefined) {
    const { three_phase_id } = unfinished.intent;
    const phase = await phaseReached(unfinished.record);
    const other = (await differences(deps, request, unfinished)).join(", ");
    const message = `${none}: ${three_phase_id} is unfinished in phase ${phase}, but is of another ${other}`;
    return new BackupError("BackupNotFoundError", message, {
      hint:
        "Resume it with the file and the options that it was begun with, or give it up with " +
        `three-phase-restore --abandon ${three_phase_id}.`,
      details: { three_phase_id },
    });
  }
  const sha256 = threePhaseSha256(request);
  const same = known.find(({ intent }) => intent.request_sha256 === sha256);
  if (same !== undefined) return overAlready(same, none);
  const hint =
    known.length === 0
      ? "Nothing was written to the target; run the command without --resume to begin."
      : "All that there are, of other configurations, are over; run the command without --resume " +
        "to begin this one.";
  return new BackupError("BackupNotFoundError", none, { hint });
}

/** Newest first. */
async function knownInto(deps: ThreePhaseDeps, backupId: string): Promise<KnownThreePhase[]> {
  const known: KnownThreePhase[] = [];
  for (const record of (await threePhasesOf(deps.storage, backupId)).reverse()) {
    const intent = await record.intent();
    if (intent?.target_cluster_id === deps.cluster.clusterId) known.push({ record, intent });
  }
  return known;
}

async function firstUnfinished(
  known: readonly KnownThreePhase[],
): Promise<KnownThreePhase | undefined> {
  for (const one of known) if (!(await one.record.isOver())) return one;
  return undefined;
}

async function phaseReached(record: ThreePhaseRecord): Promise<ThreePhase> {
  if ((await record.restored()) !== undefined) return "reset";
  return (await record.snapshot()) === undefined ? "prepare" : "restore";
}

/** Names of what was asked for otherwise, as far as its documents tell. */
async function differences(
  deps: ThreePhaseDeps,
  request: ThreePhaseRequest,
  known: KnownThreePhase,
): Promise<string[]> {
  const { intent } = known;
  const { window } = request.restore;
  const found: string[] = [];
  if (intent.restore_request_sha256 !== requestSha256(request.restore)) {
    const begun = await (await restoreWithin(deps, known))?.intent();
    const isSameWindow = begun?.window.start === window.start && begun?.window.end === window.end;
    const others = "selection or mapping of topics";
    found.push(
      begun === undefined ? `time window, ${others}` : isSameWindow ? others : "time window",
    );
  }
  if (intent.strategy !== request.strategy) found.push(`strategy (${intent.strategy})`);
  const source = request.offset_source ?? (window.end === undefined ? "latest" : "at-window-end");
  if (intent.offset_source !== source) found.push(`offset source (${intent.offset_source})`);
  if (!isOfGroups(request, intent.groups)) found.push("selection of groups");
  if (found.length > 0) return found;
  return ["selection of groups, offset source or backup_first"];
}

/** What patterns meant then is not told by what they are. */
function isOfGroups({ groups }: ThreePhaseRequest, known: readonly string[]): boolean {
  if ("all" in groups || groups.groups.some(isGroupGlob)) return true;
  return groups.groups.toSorted().join("\n") === known.join("\n");
}

async function overAlready(
  { record, intent: { three_phase_id } }: KnownThreePhase,
  none: string,
): Promise<BackupError> {
  const report = await record.report();
  const details = { three_phase_id };
  if (report !== undefined) {
    const at = timeText(report.finished_at);
    const message = `${none}: ${three_phase_id} was finished at ${at}, and its target topics have changed since`;
    const hint = "To restore once more, run the command with --new and without --resume.";
    return new BackupError("BackupNotFoundError", message, { hint, details });
  }
  const abandoned = await record.abandoned();
  const at = abandoned === undefined ? "" : ` at ${timeText(abandoned.abandoned_at)}`;
  return new BackupError("BackupNotFoundError", `${none}: ${three_phase_id} was given up${at}`, {
    hint: "Run the command without --resume to begin another.",
    details,
  });
}

function timeText(ms: bigint): string {
  return new Date(Number(ms)).toISOString();
}
