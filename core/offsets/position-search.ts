/**
 * Which of the known moments says where a group stood in a partition: the newest one that could
 * know. A moment without the group is an answer as well: the group had nothing committed then,
 * and what it had before does not count any more.
 */
import type { OffsetPlan } from "#core/offsets/contract.ts";
import type { KnownPositions } from "#core/offsets/known-positions.ts";
import { sourceKey } from "#core/offsets/restored-partitions.ts";
import { partitionNamed } from "#core/offsets/topic-partition.ts";

export interface GroupPosition {
  readonly group: string;
  readonly source_topic: string;
  readonly source_partition: number;
  /** The next record that the group would have read. */
  readonly offset: bigint;
  readonly metadata: string;
  /** When the group stood there: Unix milliseconds of the reading. */
  readonly read_at: bigint;
  /** `run ID`, `snapshot ID` or `current`. */
  readonly from: string;
}

/** One life of a source partition: offsets of another one mean other records (K3). */
export interface WantedPartition {
  readonly source_topic: string;
  readonly source_partition: number;
  readonly source_topic_id: string;
  /** Where the log was truncated: only positions of this time are of this life. */
  readonly from?: bigint | undefined;
  readonly to?: bigint | undefined;
}

/** Names of topics that are none of the wanted ones. */
export interface OtherTopics {
  /** Of all topics of the backup; without them every topic is taken for one. */
  readonly backedUp?: ReadonlySet<string>;
  /** Of the cluster that the positions are of, which the restore wrote to: nothing to tell of. */
  readonly targets?: ReadonlySet<string>;
}

interface Sought {
  readonly at: WantedPartition;
  readonly open: OpenGroups;
  /** Moments that told of it. */
  looks: number;
}

/**
 * Moments that are asked about one partition: the newest one answers for all groups, unless it
 * could not read or see them all. An hourly backup is looked through for four days.
 */
const looksMax = 100;

export class PositionSearch {
  readonly positions: GroupPosition[] = [];
  readonly leftAlone: OffsetPlan["left_alone"] = [];
  /** Groups that could not be read at the newest moment that asked for them, with the reason. */
  readonly unread = new Map<string, string>();
  readonly #wanted: ReadonlyMap<string, Sought>;
  readonly #topics: ReadonlySet<string>;
  readonly #others: OtherTopics;
  readonly #seen = new Set<string>();

  constructor(wanted: readonly WantedPartition[], others: OtherTopics = {}) {
    this.#others = others;
    this.#wanted = new Map(
      wanted.map((at) => [sourceKey(at), { at, open: new OpenGroups(), looks: 0 }]),
    );
    this.#topics = new Set(wanted.map(({ source_topic }) => source_topic));
  }

  /** Names of all groups that any moment told of so far. */
  get groups(): string[] {
    return [...new Set([...this.#seen, ...this.unread.keys()])];
  }

  /** True when nothing older could change what is known. */
  get isOver(): boolean {
    return [...this.#wanted.values()].every(
      ({ open, looks }) => open.isClosed || looks >= looksMax,
    );
  }

  /** Takes from a moment what no newer one has answered. Newest first. */
  look(known: KnownPositions): void {
    const { groups, unread, isComplete } = known;
    for (const group of groups.keys()) this.#lookAt(known, group);
    for (const [group, reason] of unread) {
      if (!this.unread.has(group) && !this.#seen.has(group)) this.unread.set(group, reason);
    }
    for (const sought of this.#wanted.values()) {
      if (!covers(known, sought.at)) continue;
      sought.looks += 1;
      if (isComplete) sought.open.closeBut(unread.keys());
      else for (const group of groups.keys()) sought.open.close(group);
    }
  }

  #lookAt(known: KnownPositions, group: string): void {
    const isFirst = !this.#seen.has(group);
    this.#seen.add(group);
    const notRestored = new Set<string>();
    const otherLife = new Set<string>();
    for (const [key, { offset, metadata }] of Object.entries(known.groups.get(group)!)) {
      const wanted = this.#wanted.get(key);
      if (wanted === undefined) {
        notRestored.add(key);
      } else if (!covers(known, wanted.at)) {
        otherLife.add(key);
      } else if (wanted.open.has(group)) {
        const { source_topic, source_partition } = wanted.at;
        const { read_at, from } = known;
        const at = { group, source_topic, source_partition };
        this.positions.push({ ...at, offset, metadata, read_at, from });
      }
    }
    if (!isFirst) return;
    this.#leave(group, notRestored, "was not restored");
    const otherLog = "another topic of that name, or of a log that was truncated since";
    this.#leave(group, otherLife, `its position of ${known.from} is of ${otherLog}`);
  }

  /**
   * By topic where none of its partitions was restored, else by partition; topics that the backup
   * does not hold are counted.
   */
  #leave(group: string, keys: ReadonlySet<string>, reason: string): void {
    const topics = new Set<string>();
    for (const key of keys) {
      const { topic, partition } = partitionNamed(key);
      if (this.#topics.has(topic)) this.leftAlone.push({ group, topic, partition, reason });
      else topics.add(topic);
    }
    const { backedUp, targets } = this.#others;
    let elsewhere = 0;
    for (const topic of topics) {
      if (targets?.has(topic)) continue;
      if (backedUp?.has(topic) === false) elsewhere += 1;
      else this.leftAlone.push({ group, topic, reason });
    }
    if (elsewhere === 0) return;
    const counted = elsewhere === 1 ? "1 topic that is" : `${elsewhere} topics that are`;
    this.leftAlone.push({ group, reason: `${counted} not in the backup` });
  }
}

function covers({ topicIds, read_at }: KnownPositions, at: WantedPartition): boolean {
  return (
    topicIds.get(at.source_topic) === at.source_topic_id &&
    (at.from === undefined || read_at >= at.from) &&
    (at.to === undefined || read_at <= at.to)
  );
}

/** The groups whose position in one partition is still to be found: all but some, or some. */
class OpenGroups {
  #isOpenToAll = true;
  /** The closed ones while it is open to all, else the open ones. */
  #groups = new Set<string>();

  get isClosed(): boolean {
    return !this.#isOpenToAll && this.#groups.size === 0;
  }

  has(group: string): boolean {
    return this.#groups.has(group) !== this.#isOpenToAll;
  }

  close(group: string): void {
    if (this.#isOpenToAll) this.#groups.add(group);
    else this.#groups.delete(group);
  }

  closeBut(groups: Iterable<string>): void {
    this.#groups = new Set([...groups].filter((group) => this.has(group)));
    this.#isOpenToAll = false;
  }
}
