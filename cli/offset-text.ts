/** What `offset-reset` and `show-offset-mapping` tell people. */
import type { Io } from "#cli/io.ts";
import { csvText, printable, tableText } from "#cli/output.ts";
import { countText, numbered, timeText } from "#cli/text.ts";
import {
  type GroupOutcome,
  type OffsetPlan,
  offsetReasons,
  type PlannedOffset,
} from "#core/offsets/contract.ts";
import type { MappedPartition, OffsetMapping } from "#core/offsets/mapping-report.ts";
import type { ResetFinding, ResetResult } from "#core/offsets/reset.ts";

export async function offsetPlanText(io: Io, plan: OffsetPlan): Promise<string> {
  const rows = plan.groups.flatMap(({ group, partitions }) =>
    partitions.map((one) => [
      group,
      one.topic,
      String(one.partition),
      `${one.source_topic}-${one.source_partition}`,
      String(one.source_offset),
      nowText(one),
      one.target_offset === null ? "-" : String(one.target_offset),
      one.lag === null ? "-" : countText(one.lag),
      one.note === undefined ? one.reason : `${one.reason}: ${one.note}`,
    ]),
  );
  const table = await tableText(io, {
    head: ["group", "topic", "partition", "source", "committed", "now", "then", "lag", "why"],
    rows,
    alignRight: [2, 4, 5, 6, 7],
  });
  const reasons = plan.groups.flatMap(({ partitions }) => partitions.map(({ reason }) => reason));
  return `${headline(plan)}\n${table}${reasonsText(reasons)}${await leftAloneText(io, plan)}`;
}

/** With what execute would refuse, below the whole plan. */
export async function checkedPlanText(
  io: Io,
  plan: OffsetPlan,
  findings: readonly ResetFinding[],
): Promise<string> {
  const text = await offsetPlanText(io, plan);
  if (findings.length === 0) return text;
  const refusals = findings.map(({ message }) => `  ${printable(message)}\n`).join("");
  const remedies = [...new Set(findings.map(({ remedy }) => `  ${remedy}\n`))].join("");
  return `${text}\nexecute would be refused:\n${refusals}What to do:\n${remedies}`;
}

function headline(plan: OffsetPlan): string {
  const restore = plan.restore_id === undefined ? "" : `, restore ${plan.restore_id}`;
  const times = plan.groups.flatMap(({ partitions }) =>
    partitions.map(({ source_read_at }) => source_read_at),
  );
  const first = times.reduce((min, time) => (time < min ? time : min), times[0] ?? 0n);
  const last = times.reduce((max, time) => (time > max ? time : max), first);
  const read =
    times.length === 0
      ? ""
      : `, positions of ${timeText(first)}${last > first ? ` to ${timeText(last)}` : ""}`;
  return `Offsets by ${plan.strategy} of backup ${plan.backup_id}${restore}; ${plan.offset_source}${read}.`;
}

/** `?` where no cluster was asked. */
function nowText({ current_offset }: PlannedOffset): string {
  if (current_offset === undefined) return "?";
  return current_offset === null ? "none" : String(current_offset);
}

/** The words of `why` are those of the data and of docs/offset-mapping.md. */
const reasonMeanings: Readonly<Record<PlannedOffset["reason"], string>> = {
  exact: "at the record that the group would have read next",
  "next-restored": "that record was not restored; at the next one that was",
  "restored-end": "nothing from there on was restored; at the end of what was restored",
  "beyond-archive": "the group had read further than the backup reaches; at the restored end",
  header: "at the record whose header names that offset",
  timestamp: "by time; where times are equal or out of order, records may be read twice",
  content: "at the record with that content",
  undecided: "not decided; stays as it is",
};

/** What the words that occur mean, one a line. */
function reasonsText(reasons: readonly PlannedOffset["reason"][]): string {
  const shown = offsetReasons.filter((reason) => reasons.includes(reason));
  if (shown.length === 0) return "";
  return `\n${shown.map((reason) => `${reason}: ${reasonMeanings[reason]}\n`).join("")}`;
}

async function leftAloneText(io: Io, { left_alone }: OffsetPlan): Promise<string> {
  if (left_alone.length === 0) return "";
  const table = await tableText(io, {
    head: ["group", "topic", "partition", "why"],
    rows: left_alone.map(({ group, topic = "", partition, reason }) => [
      group,
      topic,
      partition === undefined ? "" : String(partition),
      reason,
    ]),
    alignRight: [2],
  });
  return `\nLeft as it is:\n${table}`;
}

/** `where` are the options that name storage and cluster, as a shell takes them. */
export async function resetText(io: Io, result: ResetResult, where: string): Promise<string> {
  const { plan, outcomes, safety_snapshot_id: snapshot } = result;
  const undo =
    snapshot === undefined
      ? ""
      : `\nTo put back what they had committed before:\n` +
        `  kafka-backup offset-rollback rollback --snapshot-id ${snapshot} ${where}\n`;
  return [
    await offsetPlanText(io, plan),
    `\n${statusText(result)}\n`,
    await failuresText(io, outcomes),
    goneText(plan),
    undo,
  ].join("");
}

function statusText({ status, plan, outcomes }: ResetResult): string {
  const changed = outcomes.filter((outcome) => outcome.status === "changed");
  const groups = numbered(changed.length, "group");
  const unread = plan.left_alone.filter((left) => left.unread === true).length;
  const notReset = outcomes.length - changed.length + unread;
  switch (status) {
    case "done":
      return `${groups} reset and read back.`;
    case "incomplete":
      return `${groups} reset and read back, ${notReset > 0 ? `${notReset} not` : "not in all topics"}.`;
    case "report_only":
      return `Nothing was committed: ${plan.strategy} only reports.`;
    case "nothing_to_do":
      return "Nothing was committed: no offset is decided.";
  }
}

/** Of a topic that is gone nothing can be reset before it is restored again. */
function goneText({ left_alone }: OffsetPlan): string {
  const gone = left_alone.filter((left) => left.gone === true);
  if (gone.length === 0) return "";
  const topics = [...new Set(gone.map(({ topic = "" }) => topic))].sort();
  const groups = new Set(gone.map(({ group }) => group)).size;
  return (
    `\n${numbered(groups, "group")} not reset in what was restored of ${topics.join(", ")}: the ` +
    "target topic was deleted or created anew since.\n" +
    "Restore that again (restore --new), then reset again.\n"
  );
}

async function failuresText(io: Io, outcomes: readonly GroupOutcome[]): Promise<string> {
  const rows = outcomes.flatMap(({ group, failures }) =>
    failures.map(({ topic, partition, reason }) => [group, topic, String(partition), reason]),
  );
  if (rows.length === 0) return "";
  const head = ["group", "topic", "partition", "what"];
  return `\nNot reset:\n${await tableText(io, { head, rows, alignRight: [2] })}`;
}

export async function mappingText(io: Io, mapping: OffsetMapping): Promise<string> {
  const table = await tableText(io, {
    head: ["group", "topic", "partition", "committed", "end", "lag", "into", "then", "why"],
    rows: mappedPartitions(mapping).map(({ group, topic, partition, mapped }) => [
      group,
      topic,
      partition,
      String(mapped.committed_offset),
      text(mapped.end_offset),
      text(mapped.lag),
      mapped.target_topic === null ? "-" : `${mapped.target_topic}-${mapped.target_partition}`,
      text(mapped.target_offset),
      mapped.reason ?? "-",
    ]),
    alignRight: [2, 3, 4, 5, 7],
  });
  const reasons = mappedPartitions(mapping).flatMap(({ mapped }) => mapped.reason ?? []);
  const { backup_id, run_id, read_at, restore_id, unread_groups } = mapping;
  const after = restore_id === null ? "not restored yet" : `after restore ${restore_id}`;
  const unread = unread_groups.map(
    ({ group, reason }) => `${printable(group)} could not be read: ${printable(reason)}\n`,
  );
  return (
    `Groups of backup ${backup_id} at run ${run_id}, ${timeText(read_at)}; ${after}.\n` +
    `${table}${reasonsText(reasons)}${unread.join("")}`
  );
}

const text = (value: bigint | null) => (value === null ? "-" : String(value));

export function mappingCsv(mapping: OffsetMapping): string {
  const cell = (value: bigint | number | string | null) => (value === null ? "" : String(value));
  return csvText({
    head: [
      ...["group", "topic", "partition", "committed_offset", "end_offset", "lag"],
      ...["target_topic", "target_partition", "target_offset", "reason"],
    ],
    rows: mappedPartitions(mapping).map(({ group, topic, partition, mapped }) => [
      ...[group, topic, partition],
      ...[mapped.committed_offset, mapped.end_offset, mapped.lag].map(cell),
      ...[mapped.target_topic, mapped.target_partition, mapped.target_offset].map(cell),
      cell(mapped.reason),
    ]),
  });
}

function mappedPartitions({ consumer_groups }: OffsetMapping) {
  return Object.entries(consumer_groups).flatMap(([group, { partitions }]) =>
    Object.entries(partitions).map(([name, mapped]: [string, MappedPartition]) => {
      const dash = name.lastIndexOf("-");
      return { group, topic: name.slice(0, dash), partition: name.slice(dash + 1), mapped };
    }),
  );
}
