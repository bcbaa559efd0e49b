/** What a rollback would write, and what speaks against it; reads only. */
import { BackupError } from "#core/errors.ts";
import type { Cluster, NewOffset, TopicDescription, TopicPartition } from "#core/kafka/cluster.ts";
import type { CommittedOffset, OffsetSnapshot } from "#core/offsets/contract.ts";
import { selectGroups } from "#core/offsets/select-groups.ts";
import { byPlace, partitionName, partitionNamed } from "#core/offsets/topic-partition.ts";

/** `error`: the rollback is refused; `warning`: the operator should know. */
export interface RollbackFinding {
  readonly severity: "error" | "warning";
  readonly code:
    | "other-cluster"
    | "topic-absent"
    | "topic-recreated"
    | "partition-absent"
    | "offset-outside"
    | "offset-clamped"
    | "group-absent"
    | "group-has-members"
    | "group-unreadable";
  readonly group?: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly message: string;
  /** What the operator can do about it; empty where nothing needs doing. */
  readonly remedy: string;
}

export interface RollbackPlan {
  readonly findings: readonly RollbackFinding[];
  /** Ascending by group, and by topic and partition within it. */
  readonly groups: readonly { readonly group: string; readonly commits: readonly NewOffset[] }[];
}

/**
 * The snapshot's groups that names and patterns mean; all without any. Throws InvalidRequestError
 * for one that it does not cover: of that, nothing is known, not even that it had nothing.
 */
export function snapshotGroupsOf(snapshot: OffsetSnapshot, wanted?: readonly string[]): string[] {
  const names = Object.keys(snapshot.consumer_groups);
  if (wanted === undefined) return selectGroups(names, { all: true });
  const covered = new Set(names);
  const selected = selectGroups(names, { groups: [...wanted] });
  const unknown = selected.find((group) => !covered.has(group));
  if (unknown === undefined) return selected;
  const unread = snapshot.unread_groups.find(({ group }) => group === unknown);
  const why = unread === undefined ? "" : `; it could not be read then: ${unread.reason}`;
  throw new BackupError(
    "InvalidRequestError",
    `snapshot ${snapshot.snapshot_id} does not hold group ${JSON.stringify(unknown)}${why}`,
    { hint: "`kafka-backup offset-rollback show` lists the groups of a snapshot." },
  );
}

interface Place extends TopicPartition {
  readonly group: string;
  readonly stored: CommittedOffset;
}

interface LogRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * Holds the groups' positions against the cluster's topics and logs. With `clamp`, a position
 * outside its log is moved to the log's nearer end; without, it is an error. The leader epoch of a
 * position counts only in the topic that it was committed in, by the topic's id (R8).
 */
export async function planRollback(
  cluster: Cluster,
  snapshot: OffsetSnapshot,
  groups: readonly string[],
  clamp: boolean,
): Promise<RollbackPlan> {
  if (cluster.clusterId !== snapshot.cluster_id) {
    return { findings: [otherCluster(snapshot, cluster.clusterId)], groups: [] };
  }
  const places = groups.flatMap((group) => placesOf(snapshot, group));
  const topics = await topicsOf(cluster, places);
  const findings: RollbackFinding[] = topicFindings(snapshot, topics);
  const absent = absentPlaces(places, topics);
  findings.push(...absent.findings);
  const ranges = await logRanges(cluster, absent.present);
  const commits: (NewOffset & { group: string })[] = [];
  for (const place of absent.present) {
    const { group, topic, partition, stored } = place;
    const range = ranges.get(partitionName(place))!;
    const offset = clamped(stored.offset, range);
    const isOutside = offset !== stored.offset;
    if (isOutside) findings.push(outside(place, range, clamp ? offset : undefined));
    const isSameTopic = snapshot.topics[topic]?.topic_id === topics.get(topic)?.topicId;
    const leaderEpoch = isSameTopic && !isOutside ? (stored.leader_epoch ?? -1) : -1;
    commits.push({ group, topic, partition, offset, leaderEpoch, metadata: stored.metadata });
  }
  const byGroup = Map.groupBy(commits, ({ group }) => group);
  return {
    findings,
    groups: groups.map((group) => ({
      group,
      commits: (byGroup.get(group) ?? []).map(({ group: _, ...commit }) => commit).sort(byPlace),
    })),
  };
}

function placesOf(snapshot: OffsetSnapshot, group: string): Place[] {
  const { partitions } = snapshot.consumer_groups[group]!;
  const places = Object.entries(partitions).map(([name, stored]) => {
    return { group, ...partitionNamed(name), stored };
  });
  return places.sort(byPlace);
}

async function topicsOf(
  cluster: Cluster,
  places: readonly Place[],
): Promise<Map<string, TopicDescription>> {
  const names = [...new Set(places.map(({ topic }) => topic))];
  const found = names.length === 0 ? [] : await cluster.describeTopics(names);
  return new Map(found.map((topic) => [topic.name, topic]));
}

function topicFindings(
  snapshot: OffsetSnapshot,
  topics: ReadonlyMap<string, TopicDescription>,
): RollbackFinding[] {
  const recreated = [...topics.values()].filter(({ name, topicId }) => {
    return snapshot.topics[name]?.topic_id !== topicId;
  });
  return recreated.map(({ name }) => ({
    severity: "warning",
    code: "topic-recreated",
    topic: name,
    message: `topic ${name} was created anew since: its offsets may stand for other records`,
    remedy: "Compare its records, or translate positions with `kafka-backup offset-reset`.",
  }));
}

function absentPlaces(
  places: readonly Place[],
  topics: ReadonlyMap<string, TopicDescription>,
): { present: Place[]; findings: RollbackFinding[] } {
  const present: Place[] = [];
  const findings = new Map<string, RollbackFinding>();
  for (const place of places) {
    const { group, topic, partition } = place;
    const description = topics.get(topic);
    if (description === undefined) {
      findings.set(`${topic} ${group}`, {
        severity: "error",
        code: "topic-absent",
        group,
        topic,
        message: `topic ${topic}, in which group ${JSON.stringify(group)} had a position, does not exist`,
        remedy: "Restore or create the topic, or leave the group out with --groups.",
      });
    } else if (partition >= description.partitions.length) {
      findings.set(`${topic}-${partition} ${group}`, {
        severity: "error",
        code: "partition-absent",
        group,
        topic,
        partition,
        message: `topic ${topic} has ${description.partitions.length} partitions, none of number ${partition}`,
        remedy: "Add partitions to the topic, or leave the group out with --groups.",
      });
    } else present.push(place);
  }
  return { present, findings: [...findings.values()] };
}

async function logRanges(
  cluster: Cluster,
  places: readonly Place[],
): Promise<Map<string, LogRange>> {
  const partitions = [...new Map(places.map((place) => [partitionName(place), place])).values()];
  const asked = partitions.map(({ topic, partition }) => ({ topic, partition }));
  if (asked.length === 0) return new Map();
  const [starts, ends] = await Promise.all([
    cluster.listOffsets(asked, "earliest"),
    cluster.listOffsets(asked, "highWatermark"),
  ]);
  const offsetOf = (answer: (typeof starts)[number]) => {
    if ("error" in answer) throw answer.error;
    return answer.offset;
  };
  return new Map(
    asked.map((at, index) => [
      partitionName(at),
      { start: offsetOf(starts[index]!), end: offsetOf(ends[index]!) },
    ]),
  );
}

function clamped(offset: bigint, { start, end }: LogRange): bigint {
  if (offset < start) return start;
  return offset > end ? end : offset;
}

function outside(
  place: Place,
  { start, end }: LogRange,
  moved: bigint | undefined,
): RollbackFinding {
  const { group, topic, partition, stored } = place;
  const where = `group ${JSON.stringify(group)} stood at offset ${stored.offset} of ${topic}-${partition}`;
  const log = `its log holds ${start} to ${end}`;
  const common = { group, topic, partition };
  if (moved === undefined) {
    return {
      severity: "error",
      code: "offset-outside",
      ...common,
      message: `${where}; ${log}`,
      remedy: "Pass --force to take the nearer end of the log instead.",
    };
  }
  return {
    severity: "warning",
    code: "offset-clamped",
    ...common,
    message: `${where}; ${log}: it is set to ${moved}`,
    remedy: "",
  };
}

function otherCluster(snapshot: OffsetSnapshot, clusterId: string): RollbackFinding {
  return {
    severity: "error",
    code: "other-cluster",
    message: `the snapshot is of cluster ${snapshot.cluster_id}; this is cluster ${clusterId}`,
    remedy:
      "Name a broker of the snapshot's cluster; `kafka-backup offset-reset` translates positions " +
      "for another one.",
  };
}
