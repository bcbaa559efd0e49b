/** Where the groups of a plan stand now, held against the plan and the snapshot before it. */
import type { Cluster, CommittedOffsets } from "#core/kafka/cluster.ts";
import type { OffsetPlan, OffsetSnapshot } from "#core/offsets/contract.ts";
import { partitionName } from "#core/offsets/topic-partition.ts";

export type PlannedPlace = OffsetPlan["groups"][number]["partitions"][number];

type Committed = CommittedOffsets["groups"][number]["offsets"][number];
/** By `topic-partition`. */
export type Places = ReadonlyMap<string, Committed>;

export function placesOf(offsets: readonly Committed[]): Places {
  return new Map(offsets.map((at) => [partitionName(at), at]));
}

export class Standing {
  readonly #byGroup: ReadonlyMap<string, Places>;
  readonly #logStarts: ReadonlyMap<string, bigint>;

  /** `logStarts`: of partitions in which a group may stand at it in place of a deleted offset. */
  private constructor(
    byGroup: ReadonlyMap<string, Places>,
    logStarts: ReadonlyMap<string, bigint>,
  ) {
    this.#byGroup = byGroup;
    this.#logStarts = logStarts;
  }

  /** Throws what kept a group from being read. */
  static async read(cluster: Cluster, plan: OffsetPlan): Promise<Standing> {
    const committed = await cluster.committedOffsets(plan.groups.map(({ group }) => group));
    if (committed.failed[0] !== undefined) throw committed.failed[0].error;
    const byGroup = new Map(
      committed.groups.map(({ group, offsets }) => [group, placesOf(offsets)] as const),
    );
    const beyond = plan.groups.flatMap(({ group, partitions }) =>
      partitions.filter((planned) => {
        const now = byGroup.get(group)?.get(partitionName(planned));
        return now !== undefined && now.offset > (planned.target_offset ?? now.offset);
      }),
    );
    return new Standing(byGroup, await logStarts(cluster, beyond));
  }

  at(group: string, place: PlannedPlace): Committed | undefined {
    return this.#byGroup.get(group)?.get(partitionName(place));
  }

  /** At the planned offset, or at the log's first one where that was deleted. */
  isAsPlanned(group: string, planned: PlannedPlace): boolean {
    const { target_offset, metadata } = planned;
    const now = this.at(group, planned);
    if (target_offset === null || now?.metadata !== metadata) return false;
    const isClamped = now.offset === this.#logStarts.get(partitionName(planned));
    return now.offset === target_offset || (isClamped && now.offset > target_offset);
  }

  /**
   * Planned places, in words, that stand neither where the snapshot has them nor where the plan
   * puts them: others have committed there since.
   */
  movedSince(snapshot: OffsetSnapshot, plan: OffsetPlan): string[] {
    return plan.groups.flatMap(({ group, partitions }) => {
      const before = snapshot.consumer_groups[group]?.partitions ?? {};
      return partitions.flatMap((planned) => {
        if (planned.target_offset === null || this.isAsPlanned(group, planned)) return [];
        const name = partitionName(planned);
        const stood = Object.hasOwn(before, name) ? before[name] : undefined;
        const now = this.at(group, planned);
        if (now?.offset === stood?.offset && now?.metadata === stood?.metadata) return [];
        const [from, to] = [stood, now].map((place) => place?.offset ?? "nothing");
        return [`group ${JSON.stringify(group)}, ${name}: from ${from} to ${to}`];
      });
    });
  }
}

/** Of those partitions that still are there. */
async function logStarts(
  cluster: Cluster,
  places: readonly PlannedPlace[],
): Promise<Map<string, bigint>> {
  const distinct = new Map(
    places.map(({ topic, partition }) => {
      const at = { topic, partition };
      return [partitionName(at), at];
    }),
  );
  if (distinct.size === 0) return new Map();
  const answers = await cluster.listOffsets([...distinct.values()], "earliest");
  return new Map(
    answers.flatMap((answer) =>
      "error" in answer ? [] : [[partitionName(answer), answer.offset] as const],
    ),
  );
}
