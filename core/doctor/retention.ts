/** Whether Kafka deletes records before the next run has read them. */
import type { Manifest } from "#core/catalog/manifest.ts";
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import { type PartitionLog, unreadShare } from "#core/doctor/logs.ts";
import type { Cluster } from "#core/kafka/cluster.ts";

const hourMs = 3_600_000;
/** Of the newest runs, so that a schedule that was changed is soon known. */
const intervalsMax = 10;

export async function checkRetention(
  cluster: Cluster,
  logs: readonly PartitionLog[],
  manifest: Manifest | undefined,
  nowMs: number,
): Promise<Checked<void>> {
  const names = [...new Set(logs.map(({ topic }) => topic))];
  if (manifest === undefined) {
    return { seen: `${names.length} topics, none of them backed up yet`, value: undefined };
  }
  const retentions = await retentionOf(cluster, names);
  const intervalMs = usualInterval(manifest);
  const findings = names.flatMap((topic) => {
    const ofTopic = logs.filter((log) => log.topic === topic);
    const lost = ofTopic.flatMap(alreadyDeleted);
    return lost.length > 0
      ? lost
      : expiring({ topic, logs: ofTopic, retentionMs: retentions.get(topic), intervalMs, nowMs });
  });
  const usual =
    intervalMs === undefined ? "one run so far" : `a run every ${hoursText(intervalMs)}`;
  return { seen: `${names.length} topics, ${usual}`, findings, value: undefined };
}

/** Milliseconds by topic; absent where records are kept for ever, or it may not be seen. */
async function retentionOf(
  cluster: Cluster,
  topics: readonly string[],
): Promise<Map<string, number>> {
  const retentions = new Map<string, number>();
  for (const answer of await cluster.topicSettings(topics)) {
    if ("error" in answer) continue; // `checkTopics` names the right that is lacking.
    const settings = new Map(answer.settings.map(({ name, value }) => [name, value]));
    const retentionMs = Number(settings.get("retention.ms") ?? -1);
    const deletes = (settings.get("cleanup.policy") ?? "delete").includes("delete");
    if (deletes && retentionMs >= 0) retentions.set(answer.topic, retentionMs);
  }
  return retentions;
}

/** The median of the times between the newest runs; undefined with fewer than two. */
function usualInterval({ runs }: Manifest): number | undefined {
  const times = runs.map(({ planned_at }) => Number(planned_at)).slice(-intervalsMax - 1);
  const intervals = times.slice(1).map((time, i) => time - times[i]!);
  return intervals.sort((a, b) => a - b)[Math.floor(intervals.length / 2)];
}

function alreadyDeleted({ topic, partition, start, lineage }: PartitionLog): Found[] {
  if (lineage === undefined || start <= lineage.next_offset) return [];
  return [
    {
      severity: "error",
      code: "deleted-before-backup",
      message:
        `${topic}-${partition}: offsets ${lineage.next_offset} to ${start - 1n} were deleted ` +
        "before a run had read them",
      remedy: `Run a backup now, and more often, or raise retention.ms and retention.bytes of ${topic}.`,
    },
  ];
}

interface Expiry {
  readonly topic: string;
  readonly logs: readonly PartitionLog[];
  readonly retentionMs: number | undefined;
  readonly intervalMs: number | undefined;
  readonly nowMs: number;
}

/**
 * A record that came right after a run was planned is deleted `retentionMs` later at the earliest,
 * with its log segment.
 */
function expiring({ topic, logs, retentionMs, intervalMs, nowMs }: Expiry): Found[] {
  if (retentionMs === undefined) return [];
  const ages = logs
    .filter((log) => unreadShare(log) > 0 && log.lineage !== undefined)
    .map(({ lineage }) => nowMs - Number(lineage!.last_planned_at));
  const ageMs = Math.max(0, ...ages);
  const kept = `retention.ms of topic ${topic} is ${retentionMs} (${hoursText(retentionMs)})`;
  const remedy = `Back up more often, or raise retention.ms of ${topic}.`;
  if (ageMs + (intervalMs ?? 0) > retentionMs) {
    const message =
      `${kept}, and it was last backed up ${hoursText(ageMs)} ago: records that are not in the ` +
      `backup ${ageMs > retentionMs ? "may be deleted at any time" : "are deleted before the next run by the usual times"}`;
    return [{ severity: "warning", code: "retention-near", message, remedy }];
  }
  if (intervalMs === undefined || 2 * intervalMs <= retentionMs) return [];
  const message = `${kept}, and runs come every ${hoursText(intervalMs)}: if one fails, records are lost`;
  return [{ severity: "warning", code: "retention-margin", message, remedy }];
}

function hoursText(ms: number): string {
  const hours = ms / hourMs;
  return `${hours < 10 ? hours.toFixed(1) : Math.round(hours)} h`;
}
