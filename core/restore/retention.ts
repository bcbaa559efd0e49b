/**
 * Which retention stays off after a restore. Kafka deletes whole log segments from the log's
 * start, as soon as all records of one are older than retention.ms or the partition is larger
 * than retention.bytes: an old backup would be gone within minutes of its restore.
 */
import type { Cluster } from "#core/kafka/cluster.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type {
  KeptSetting,
  PartitionResult,
  RestoreTarget,
  TopicPlan,
} from "#core/restore/documents.ts";
import { changedSettings, retentionGraceMs } from "#core/restore/topic-settings.ts";

type Retention = "retention.ms" | "retention.bytes";

export async function keptRetention(
  { cluster, clock }: Pick<RestoreDeps, "cluster" | "clock">,
  plan: TopicPlan,
  target: RestoreTarget,
  results: readonly PartitionResult[],
  bootstrapServers: readonly string[],
): Promise<KeptSetting[]> {
  const changed = new Map(changedSettings(plan, target));
  if (!deletes(target, changed)) return [];
  const kept: KeptSetting[] = [];
  for (const name of ["retention.ms", "retention.bytes"] as const) {
    const before = target.settings_before[name];
    const during = changed.get(name);
    if (before === undefined || before.value === null || during === undefined) continue;
    const reason =
      name === "retention.ms"
        ? await tooOld(cluster, BigInt(clock.nowMs()), BigInt(before.value), results)
        : tooLarge(BigInt(before.value), results);
    if (reason === undefined) continue;
    kept.push({
      topic: target.topic,
      name,
      value: during,
      wanted: before.value,
      reason,
      command: commandFor(target, name, bootstrapServers),
    });
  }
  return kept;
}

/** Whether the cleanup policy that is put back deletes by age and size, or only compacts. */
function deletes(target: RestoreTarget, changed: ReadonlyMap<string, string>): boolean {
  if (!changed.has("cleanup.policy")) return true;
  return target.settings_before["cleanup.policy"]?.value?.includes("delete") ?? true;
}

/**
 * Asks the target for the first offset whose record is young enough: deletion never passes it, so
 * what is restored is safe when it begins there or behind.
 */
async function tooOld(
  cluster: Cluster,
  nowMs: bigint,
  retentionMs: bigint,
  results: readonly PartitionResult[],
): Promise<string | undefined> {
  const timestamp = nowMs - retentionMs + retentionGraceMs;
  const filled = results.filter(({ record_count }) => record_count > 0n);
  if (retentionMs < 0n || timestamp <= 0n || filled.length === 0) return undefined;
  const partitions = filled.map(({ target_topic: topic, target_partition: partition }) => ({
    topic,
    partition,
  }));
  const young = await cluster.listOffsets(partitions, { timestamp });
  for (const [i, result] of filled.entries()) {
    const answer = young[i]!;
    if ("error" in answer) throw answer.error;
    const isSafe = answer.offset >= 0n && answer.offset <= result.start_offset;
    if (isSafe) continue;
    return `partition ${result.target_partition} begins with records that would expire within a day`;
  }
  return undefined;
}

function tooLarge(retentionBytes: bigint, results: readonly PartitionResult[]): string | undefined {
  if (retentionBytes < 0n) return undefined;
  const large = results.find(({ sent }) => BigInt(sent.bytes) > retentionBytes);
  return large && `partition ${large.target_partition} has got ${large.sent.bytes} bytes`;
}

function commandFor(
  target: RestoreTarget,
  name: Retention,
  bootstrapServers: readonly string[],
): string {
  const { value, of_topic } = target.settings_before[name]!;
  const change = of_topic ? `--add-config ${name}=${value}` : `--delete-config ${name}`;
  return (
    `kafka-configs.sh --bootstrap-server ${bootstrapServers.join(",")} ` +
    `--alter --entity-type topics --entity-name ${target.topic} ${change}`
  );
}
