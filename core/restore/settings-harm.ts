/** What becomes of restored records under a topic's own settings, were they not changed. */
import type { TopicSetting } from "#core/kafka/cluster.ts";
import type { Finding } from "#core/restore/findings.ts";
import { timeText } from "#core/restore/lineage.ts";
import type { PlannedPartition } from "#core/restore/plan.ts";
import type { TopicCheck } from "#core/restore/topic-check.ts";
import { retentionGraceMs } from "#core/restore/topic-settings.ts";

export interface Harm {
  /** `error` where records would be lost or changed. */
  readonly severity: "error" | "warning";
  readonly harm: string;
}

const error = (harm: string): Harm => ({ severity: "error", harm });
const warning = (harm: string): Harm => ({ severity: "warning", harm });

/** For a setting that `settingsWhileRestoring` would change. */
export function harmIfKept(
  { name, value }: Pick<TopicSetting, "name" | "value">,
  check: TopicCheck,
): Harm {
  switch (name) {
    case "cleanup.policy":
      return error("compaction would remove restored records, and refuses those without a key");
    case "message.timestamp.type":
      return error("the broker would replace the records' timestamps by its own clock's");
    case "message.timestamp.before.max.ms":
    case "message.timestamp.difference.max.ms":
      return error("the broker would refuse records that are older");
    case "message.timestamp.after.max.ms":
      return newestTimestamp(check) > BigInt(check.nowMs) + BigInt(value ?? 0)
        ? error("the broker would refuse the backup's records of the future")
        : warning("the broker refuses records that lie further in the future");
    case "retention.ms":
      return isYoungerThan(BigInt(value ?? -1), check)
        ? warning("records are deleted as they reach that age")
        : error("retention would delete restored records at once");
    case "retention.bytes":
      return largestPartition(check) <= Number(value)
        ? warning("the oldest records are deleted as the partition grows beyond it")
        : error("retention would delete restored records at once");
    case "max.message.bytes":
      return warning(
        check.recordGrowthBytes === 0
          ? "larger batches are split; a single record that is larger fails"
          : "larger batches are split; a single record that is larger with its offset headers fails",
      );
    case "compression.type":
      return warning("the broker compresses every batch once more: slower, with equal records");
    default:
      return warning("old records make many small log segments");
  }
}

/**
 * Whether what the restore selects is younger than `retentionMs`. When a backup began is the best
 * the manifest knows of its oldest records' age; a window's start says more.
 */
function isYoungerThan(retentionMs: bigint, { planned, request, nowMs }: TopicCheck): boolean {
  const from = BigInt(nowMs) - retentionMs;
  return planned.partitions.every((partition) => {
    if (isEmpty(partition)) return true;
    const { start } = request.window;
    const oldest = partition.lineage.first_planned_at;
    return (start !== undefined && start > oldest ? start : oldest) >= from;
  });
}

function isEmpty({ lineage }: PlannedPartition): boolean {
  return lineage.totals.record_count === 0;
}

function newestTimestamp({ planned, request }: TopicCheck): bigint {
  const { end } = request.window;
  let newest = -1n;
  for (const { lineage } of planned.partitions) {
    if (lineage.max_timestamp > newest) newest = lineage.max_timestamp;
  }
  return end !== undefined && end < newest ? end : newest;
}

function largestPartition({ planned, recordGrowthBytes }: TopicCheck): number {
  const sizes = planned.partitions.map(
    ({ lineage: { totals } }) => totals.batch_bytes + totals.record_count * recordGrowthBytes,
  );
  return Math.max(0, ...sizes);
}

/**
 * Retention gives way while restoring, so nothing is lost; but what is put back must not delete it
 * then. `settingOf` gives the settings that will be put back, as far as they are known.
 */
export function retentionFindings(
  check: TopicCheck,
  settingOf: (name: string) => string | null | undefined,
): Finding[] {
  if (!(settingOf("cleanup.policy") ?? "delete").includes("delete")) return [];
  return ["retention.ms", "retention.bytes"].flatMap((name): Finding[] => {
    const value = settingOf(name) ?? "-1";
    if (value === "-1" || keepsWithin(name, BigInt(value), check)) return [];
    return [
      {
        severity: "warning",
        code: "retention-kept",
        topic: check.planned.target_topic,
        message:
          `${name}=${value} would delete restored records within a day ` +
          `(backed up from ${timeText(oldestKnown(check))} on)`,
        remedy: "It stays -1 after the restore; the report has the command that sets it again.",
      },
    ];
  });
}

/** Whether retention spares what the restore selects for as long as somebody needs to look at it. */
function keepsWithin(name: string, value: bigint, check: TopicCheck): boolean {
  if (name === "retention.ms") return isYoungerThan(value - retentionGraceMs, check);
  return largestPartition(check) <= value;
}

function oldestKnown({ planned }: TopicCheck): bigint {
  const times = planned.partitions.map(({ lineage }) => lineage.first_planned_at);
  return times.reduce((min, time) => (time < min ? time : min));
}
