/**
 * Which life of a partition a restore takes. Offsets and times of different lineages have nothing
 * to do with each other, so what is not clear is refused.
 */
import type { LineageState, PartitionState, TopicState } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import type { TimeWindow } from "#core/restore/documents.ts";
import type { LineageChoice } from "#core/restore/request.ts";

export interface ChosenLineage {
  readonly partition: number;
  readonly lineage: LineageState;
}

/**
 * The chosen lineage of each partition of a topic; a partition that did not exist in the chosen
 * life of the topic is left out. Throws InvalidRequestError where the newest lineage began after
 * the window's end and older ones exist, BackupNotFoundError for a lineage that no partition has.
 */
export function chooseLineages(
  topic: TopicState,
  choice: LineageChoice | undefined,
  window: TimeWindow,
): ChosenLineage[] {
  const ofTopic = typeof choice === "object" ? choice[topic.name] : choice;
  if (typeof ofTopic === "number") return lifeNumbered(topic, ofTopic);
  return topic.partitions.map((state) => {
    const number = ofTopic?.[state.partition];
    const lineage = number === undefined ? newestOf(state) : exactly(topic, state, number);
    if (number === undefined) refuseOlderWindow(topic, state, lineage, window);
    return { partition: state.partition, lineage };
  });
}

function newestOf(state: PartitionState): LineageState {
  return state.lineages.at(-1)!;
}

/** A window that ends before the newest lineage began means an older one, or nothing at all. */
function refuseOlderWindow(
  topic: TopicState,
  state: PartitionState,
  newest: LineageState,
  { end }: TimeWindow,
): void {
  if (end === undefined || state.lineages.length < 2 || end >= newest.first_planned_at) return;
  const lineages = state.lineages.map(lineageText).join("; ");
  throw new BackupError(
    "InvalidRequestError",
    `${topic.name}-${state.partition} was created anew or truncated, and the window ends ` +
      `(${timeText(end)}) before its newest lineage began: ${lineages}`,
    { hint: "Choose with --lineage N, or with restore.lineage for single topics." },
  );
}

/**
 * Lineages are counted by partition, and a topic that was created anew may have got partitions
 * with it: what was together in one life of the topic is what has the same topic id.
 */
function lifeNumbered(topic: TopicState, number: number): ChosenLineage[] {
  const longest = topic.partitions.reduce((longest, state) =>
    state.lineages.length > longest.lineages.length ? state : longest,
  );
  const newest = newestOf(longest);
  const { topic_id } = number > newest.lineage ? newest : exactly(topic, longest, number);
  return topic.partitions.flatMap(({ partition, lineages }) => {
    const lineage = lineages.findLast(
      (candidate) => candidate.topic_id === topic_id && candidate.lineage <= number,
    );
    return lineage === undefined ? [] : [{ partition, lineage }];
  });
}

function exactly(topic: TopicState, state: PartitionState, number: number): LineageState {
  const found = state.lineages.find(({ lineage }) => lineage === number);
  if (found !== undefined) return found;
  throw new BackupError(
    "BackupNotFoundError",
    `${topic.name}-${state.partition} has no lineage ${number}; it has ` +
      state.lineages.map(lineageText).join("; "),
  );
}

function lineageText(lineage: LineageState): string {
  const { first_planned_at: first, last_planned_at: last, totals } = lineage;
  const times = last < 0n ? `from ${timeText(first)}` : `${timeText(first)} to ${timeText(last)}`;
  return `${lineage.lineage} (backed up ${times}, ${totals.record_count} records)`;
}

const dateMsMax = 8_640_000_000_000_000n;

/** ISO 8601 where a date can say it, else the milliseconds. */
export function timeText(time: bigint): string {
  const isDate = time >= -dateMsMax && time <= dateMsMax;
  return isDate ? new Date(Number(time)).toISOString() : `${time} ms`;
}
