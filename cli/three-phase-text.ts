/** What a restore that sets consumer groups' offsets tells people. */
import type { Io } from "#cli/io.ts";
import { printable, tableText } from "#cli/output.ts";
import { restorePlanText, restoreText } from "#cli/restore-text.ts";
import { countText, durationText, numbered, timeText } from "#cli/text.ts";
import type { OffsetPlan } from "#core/offsets/contract.ts";
import type { AbandonedThreePhaseResult } from "#core/three-phase/abandon.ts";
import {
  type FailedResetReport,
  setsOffsets,
  type ThreePhaseResult,
} from "#core/three-phase/contract.ts";
import type { ThreePhaseReport } from "#core/three-phase/documents.ts";
import type { GroupFinding, ThreePhaseDryRun } from "#core/three-phase/dry-run.ts";

/** `rollback`: the command that puts groups back, but for the snapshot's id at its end. */
export async function threePhaseText(
  io: Io,
  result: ThreePhaseResult,
  rollback: string,
): Promise<string> {
  const restored = await restoreText(io, result.restore);
  const { report, failed_reset: failed } = result;
  if (failed !== undefined) return `${restored}${await failedText(io, result, failed, rollback)}`;
  if (report === undefined) {
    const more = "No consumer group was touched: the same command goes on and then sets offsets.";
    return `${restored}\n${more}\n`;
  }
  return [
    restored,
    `\n${headline(result.status, report)}\n`,
    await movesText(io, report),
    leftAloneText(report.left_alone),
    `\n${phasesText(report)}\n${snapshotText(report, rollback)}`,
  ].join("");
}

function headline(status: ThreePhaseResult["status"], report: ThreePhaseReport): string {
  const id = `Three-phase restore ${report.three_phase_id}`;
  const groups = numbered(report.groups.length, "consumer group");
  const how = `strategy ${report.strategy}, offset source ${report.offset_source}`;
  if (report.outcome === "recommended") {
    return `${id} is done; nothing was set, these offsets of ${groups} are recommended (${how}):`;
  }
  const what = `offsets of ${groups} were set and read back (${how})`;
  if (status !== "already_done") return `${id} is done: ${what}.`;
  return `${id} was finished at ${timeText(report.finished_at)}: ${what}. Nothing was set again.`;
}

function movesText(io: Io, { groups, outcome }: ThreePhaseReport): Promise<string> {
  return tableText(io, {
    head: ["group", "topic", "partition", "committed", "now", "then", "lag", "why"],
    rows: groups.flatMap(({ group, partitions }) =>
      partitions.map((one) => {
        const to = outcome === "reset" ? one.committed_offset : one.target_offset;
        return [
          ...[group, one.topic, String(one.partition), countText(one.source_offset)],
          ...[offsetText(one.current_offset), offsetText(to), offsetText(one.lag)],
          one.note === undefined ? one.reason : `${one.reason}: ${one.note}`,
        ];
      }),
    ),
    alignRight: [2, 3, 4, 5, 6],
  });
}

function offsetText(offset: bigint | null | undefined): string {
  return offset === null || offset === undefined ? "-" : countText(offset);
}

/** Lines shown; the rest is counted, and whole in the JSON. */
const leftAloneShown = 20;

function leftAloneText(leftAlone: OffsetPlan["left_alone"]): string {
  if (leftAlone.length === 0) return "";
  const lines = leftAlone.slice(0, leftAloneShown).map(({ group, topic, partition, reason }) => {
    const at = [topic, partition].filter((part) => part !== undefined).join("-");
    return `  ${printable([group, at, reason].filter((part) => part !== "").join(": "))}\n`;
  });
  const hidden = leftAlone.length - leftAloneShown;
  if (hidden > 0) lines.push(`  and ${countText(hidden)} more\n`);
  return `\nLeft as they are:\n${lines.join("")}`;
}

async function failedText(
  io: Io,
  { status }: ThreePhaseResult,
  failed: FailedResetReport,
  rollback: string,
): Promise<string> {
  const { three_phase_id, attempt, groups, plan, reset_snapshot_id: id } = failed;
  const how = status === "reset_stopped" ? "was stopped" : "failed";
  const states = new Map(groups.map((one) => [one.group, one]));
  const rows = (plan?.groups ?? []).flatMap(({ group, partitions }) => {
    const state = states.get(group);
    const isBack = state === undefined || state.status === "as_before";
    return partitions.map((one) => [
      ...[group, one.topic, String(one.partition), offsetText(one.target_offset)],
      isBack ? offsetText(one.current_offset) : "?",
      isBack ? "as before" : `NOT put back: ${state.reason ?? ""}`,
    ]);
  });
  const head = ["group", "topic", "partition", "wanted", "stands at", "state"];
  const isLeft = groups.some((one) => one.status === "not_rolled_back");
  return [
    `\nThree-phase restore ${three_phase_id}: records are restored, but reset ${attempt} ${how}; ` +
      "offsets are not set.\n",
    rows.length === 0 ? "" : await tableText(io, { head, rows, alignRight: [2, 3, 4] }),
    `\nThe three phases took ${durationsText(failed)}.\n`,
    id === undefined ? "" : `Before this reset, the groups stood as in snapshot ${id}.\n`,
    id !== undefined && isLeft
      ? `When the groups that are NOT put back have no members, this puts them back:\n` +
        `  ${rollback} ${id}\n`
      : "",
    `Before the restore, they stood as in snapshot ${failed.safety_snapshot_id}.\n`,
  ].join("");
}

function durationsText({ phases }: Pick<ThreePhaseReport, "phases">): string {
  return phases.map(({ phase, duration_ms }) => `${phase} ${durationText(duration_ms)}`).join(", ");
}

function phasesText(report: ThreePhaseReport): string {
  const first =
    report.backup_first === undefined
      ? ""
      : ` The backup before it is generation ${report.backup_first.generation}, run ` +
        `${report.backup_first.run_id}, ${numbered(report.backup_first.record_count, "record")}.`;
  const resumed = report.resumed ? " It continued an earlier attempt." : "";
  return `The three phases took ${durationsText(report)}.${first}${resumed}`;
}

function snapshotText(report: ThreePhaseReport, rollback: string): string {
  const { safety_snapshot_id: first, reset_snapshot_id } = report;
  const id = reset_snapshot_id ?? first;
  const before = `Before the restore, the groups stood as in snapshot ${first}.\n`;
  if (report.outcome === "recommended") return before;
  return (
    `${before}Before the reset, they stood as in snapshot ${id}; this puts them back:\n` +
    `  ${rollback} ${id}\n`
  );
}

export async function threePhaseDryRunText(io: Io, plan: ThreePhaseDryRun): Promise<string> {
  const table = await tableText(io, {
    head: ["group", "topic", "partition", "source", "read at", "to"],
    rows: plan.groups.flatMap(({ group, partitions }) =>
      partitions.map((one) => [
        ...[group, one.topic, String(one.partition), countText(one.source_offset)],
        timeText(one.source_read_at),
        one.target_offset === null
          ? (one.note ?? "not decided")
          : `${countText(one.target_offset)}${one.note === undefined ? "" : ` (${one.note})`}`,
      ]),
    ),
    alignRight: [2, 3],
  });
  return [
    await restorePlanText(io, plan.restore),
    restoredText(plan),
    `\n${thenText(plan)}\n`,
    plan.groups.length === 0 ? "" : table,
    leftAloneText(plan.left_alone),
    findingsText(plan.findings),
    `\n${wouldText(plan)}\n`,
  ].join("");
}

/** Where the restore itself would not begin. */
function restoredText({ restore }: ThreePhaseDryRun): string {
  const { would, restore_id } = restore;
  if (would === "continue") return `\nRestore ${restore_id} is begun, and would be continued.\n`;
  if (would !== "already_done") return "";
  return `\nRestore ${restore_id} has done this part, and the topics are as it left them.\n`;
}

function thenText({ groups, strategy, offset_source }: ThreePhaseDryRun): string {
  const how = `strategy ${strategy}, offset source ${offset_source ?? "not known"}`;
  if (groups.length === 0) return `No offsets of consumer groups are decided (${how}).`;
  const verb = setsOffsets(strategy) ? "set" : "recommended";
  return `Then offsets of ${numbered(groups.length, "consumer group")} are ${verb}, ${how}:`;
}

function findingsText(findings: readonly GroupFinding[]): string {
  if (findings.length === 0) return "";
  const lines = findings.map(({ severity, group, message, remedy }) => {
    const who = group === undefined ? "" : `group ${JSON.stringify(group)}: `;
    return `${severity}: ${printable(`${who}${message}`)}\n  ${printable(remedy)}\n`;
  });
  return `\n${lines.join("")}`;
}

function wouldText({ would, restore, strategy, three_phase_id }: ThreePhaseDryRun): string {
  switch (would) {
    case "begin": {
      const verb = setsOffsets(strategy) ? "set" : "recommend";
      const first = restore.would === "already_done" ? "" : "restore and then ";
      return `The same command without --dry-run would ${first}${verb} offsets.`;
    }
    case "continue":
      return `The same command without --dry-run would continue ${three_phase_id}.`;
    case "already_done":
      return `Three-phase restore ${three_phase_id} has done this; no offset would be set again.`;
    case "refuse":
      return "It would be refused before anything is written: see the errors above.";
  }
}

/** `rollback`: as in `threePhaseText`. */
export function abandonedThreePhaseText(
  result: AbandonedThreePhaseResult,
  rollback: string,
): string {
  const { restore, reset_snapshot_id: snapshot } = result;
  const lines = [`Three-phase restore ${result.three_phase_id} is given up.`];
  if (restore !== undefined) {
    lines.push(`So is its restore ${restore.restore_id}; what was restored is still there.`);
  }
  lines.push(
    snapshot === undefined
      ? "No consumer group was touched."
      : "Consumer groups stay as they are; this puts them to where they stood before the reset:\n" +
          `  ${rollback} ${snapshot}`,
  );
  return `${lines.join("\n")}\n`;
}
