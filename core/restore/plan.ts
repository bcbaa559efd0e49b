/**
 * The first step of a restore: what of the backup goes where. It reads the manifest alone, so
 * that a wrong request is refused before the target cluster is asked anything.
 */
import type { StoredManifest } from "#core/catalog/catalog.ts";
import type { LineageState, TopicState } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import type { Finding } from "#core/restore/findings.ts";
import { chooseLineages, timeText } from "#core/restore/lineage.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { mapPartitions, mapTopics, selectTopics } from "#core/restore/select-topics.ts";
import { checkBackupId } from "#core/storage/keys.ts";

export interface PlannedPartition {
  readonly source_partition: number;
  readonly target_partition: number;
  readonly lineage: LineageState;
}

export interface PlannedTopic {
  readonly source: TopicState;
  readonly target_topic: string;
  /** Partitions that the target must have. */
  readonly partition_count: number;
  readonly partitions: readonly PlannedPartition[];
}

export interface RestorePlan {
  readonly stored: StoredManifest;
  readonly window: TimeWindow;
  /** As the request says, else as the backup does. */
  readonly include_offset_headers: boolean;
  readonly topics: readonly PlannedTopic[];
  readonly findings: readonly Finding[];
}

/**
 * Throws BackupNotFoundError, TopicNotFoundError and InvalidRequestError, and what the catalogue
 * throws.
 */
export async function planRestore(
  { catalog }: Pick<RestoreDeps, "catalog">,
  request: RestoreRequest,
): Promise<RestorePlan> {
  const stored = await manifestFor(catalog, request);
  const all = stored.manifest.topics;
  const selected = selectTopics(all, request.topics);
  const targets = mapTopics(all, selected, request.topic_mapping);
  checkChoices(all, request);
  const topics = selected.map((topic) => planTopic(topic, targets.get(topic.name)!, request));
  refuseUnknownLineage(topics, request.lineage);
  const findings = topics.flatMap((topic) => topicFindings(topic, request.window));
  const { restore_defaults } = stored.manifest;
  return {
    stored,
    window: request.window,
    include_offset_headers:
      request.include_offset_headers ?? restore_defaults?.include_offset_headers ?? false,
    topics,
    findings,
  };
}

async function manifestFor(
  catalog: RestoreDeps["catalog"],
  { backup_id: backupId, generation }: RestoreRequest,
): Promise<StoredManifest> {
  checkBackupId(backupId);
  if (generation !== undefined) return catalog.readManifest(backupId, generation);
  const newest = await catalog.latestManifest(backupId);
  if (newest !== undefined) return newest;
  throw new BackupError("BackupNotFoundError", `there is no backup "${backupId}"`);
}

function planTopic(topic: TopicState, target_topic: string, request: RestoreRequest): PlannedTopic {
  const chosen = chooseLineages(topic, request.lineage, request.window);
  const targets = mapPartitions(
    topic,
    chosen.map(({ partition }) => partition),
    request.partition_mapping[topic.name],
  );
  const partitions = chosen.map(({ partition, lineage }) => ({
    source_partition: partition,
    target_partition: targets.get(partition)!,
    lineage,
  }));
  const needed = partitions.map(({ target_partition }) => target_partition + 1);
  const partition_count = Math.max(topic.partition_count, ...needed);
  return { source: topic, target_topic, partition_count, partitions };
}

/** Keys of the request that name a topic which the backup does not hold are typing errors. */
function checkChoices(all: readonly TopicState[], request: RestoreRequest): void {
  const lineage = typeof request.lineage === "object" ? request.lineage : {};
  const named = { partition_mapping: request.partition_mapping, lineage };
  for (const [key, choices] of Object.entries(named)) {
    for (const name of Object.keys(choices)) {
      if (all.some((topic) => topic.name === name)) continue;
      throw new BackupError(
        "TopicNotFoundError",
        `topic "${name}" of restore.${key} is not in the backup`,
        { hint: "`kafka-backup describe` lists the topics of a backup." },
      );
    }
  }
}

/** A topic that had fewer lives is restored from its newest; one must have had that many. */
function refuseUnknownLineage(
  topics: readonly PlannedTopic[],
  choice: RestoreRequest["lineage"],
): void {
  if (choice === undefined) return;
  for (const [name, number] of typeof choice === "number"
    ? [["", choice] as const]
    : numbersOf(choice)) {
    const named = name === "" ? topics : topics.filter(({ source }) => source.name === name);
    if (named.length === 0) continue;
    const exists = named.some(({ source }) =>
      source.partitions.some(({ lineages }) => lineages.some((one) => one.lineage === number)),
    );
    if (exists) continue;
    throw new BackupError(
      "BackupNotFoundError",
      `no partition of ${named.map(({ source }) => source.name).join(", ")} has a lineage ${number}`,
      { hint: "`kafka-backup describe` lists the lineages of a backup." },
    );
  }
}

function numbersOf(choice: object): (readonly [string, number])[] {
  return Object.entries(choice).filter((entry): entry is [string, number] =>
    Number.isInteger(entry[1]),
  );
}

function topicFindings(topic: PlannedTopic, window: TimeWindow): Finding[] {
  return [
    ...lateWindow(topic, window),
    ...unreadPartitions(topic),
    ...absentPartitions(topic),
    ...gapFindings(topic),
  ];
}

/** A time is fully restorable up to the plan of the newest run that read the partition. */
function lateWindow({ source, target_topic, partitions }: PlannedTopic, { end }: TimeWindow) {
  if (end === undefined) return [];
  const late = partitions.filter(
    ({ lineage }) => lineage.last_planned_at >= 0n && lineage.last_planned_at < end,
  );
  if (late.length === 0) return [];
  const first = late.reduce((min, { lineage }) => bigintMin(min, lineage.last_planned_at), end);
  const message =
    `the window ends at ${timeText(end)}, but ${source.name} was last backed up at ` +
    `${timeText(first)}: later records may be missing`;
  const remedy = "Run a backup first if the source still has them.";
  return [
    { severity: "warning", code: "window-beyond-backup", topic: target_topic, message, remedy },
  ] satisfies Finding[];
}

function unreadPartitions({ source, target_topic, partitions }: PlannedTopic): Finding[] {
  return partitions
    .filter(({ lineage }) => lineage.last_planned_at < 0n)
    .map(({ source_partition, target_partition, lineage }) => ({
      severity: "warning",
      code: "never-read-to-its-end",
      topic: target_topic,
      partition: target_partition,
      message:
        `no backup run has read ${source.name}-${source_partition} to its planned end yet: ` +
        `records from offset ${lineage.next_offset} on may be missing`,
      remedy: "Run a backup first if the source still has them.",
    }));
}

/** Partitions of the topic that a finding names; the others it counts. */
const absentNamedMax = 20;

/** Partitions of the topic that nothing is restored into. */
function absentPartitions({ source, target_topic, partitions }: PlannedTopic): Finding[] {
  const restored = new Set(partitions.map(({ source_partition }) => source_partition));
  const isOfTopic = (partition: number) => partition < source.partition_count;
  const absentCount = source.partition_count - [...restored].filter(isOfTopic).length;
  if (absentCount <= 0) return [];
  // A damaged count may be any number: no list is as long as that.
  const named: number[] = [];
  for (let i = 0; named.length < Math.min(absentCount, absentNamedMax); i++) {
    if (!restored.has(i)) named.push(i);
  }
  const more = absentCount > named.length ? ` and ${absentCount - named.length} more` : "";
  return [
    {
      severity: "warning",
      code: "partitions-not-in-backup",
      topic: target_topic,
      message: `the backup holds nothing of partitions ${named.join(", ")}${more} of ${source.name}`,
      remedy: "They stay empty; choose another lineage if they should hold records.",
    },
  ];
}

function gapFindings({ source, target_topic, partitions }: PlannedTopic): Finding[] {
  return partitions
    .filter(({ lineage }) => lineage.gaps.length > 0)
    .map(({ source_partition, target_partition, lineage }) => {
      const ranges = lineage.gaps.map((gap) => `[${gap.from_offset}, ${gap.to_offset})`);
      return {
        severity: "warning",
        code: "gap",
        topic: target_topic,
        partition: target_partition,
        message:
          `retention deleted offsets ${ranges.join(", ")} of ` +
          `${source.name}-${source_partition} before they were backed up`,
        remedy: "Nothing can be done now; back up more often than retention deletes.",
      };
    });
}

function bigintMin(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
