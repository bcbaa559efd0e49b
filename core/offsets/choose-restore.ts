/**
 * Which restore of a backup consumer groups are led by. Only one that fits counts: into the
 * cluster that is asked, with at least one of its topics still there. Of several none is taken
 * without a word: groups that are led into a copy made for a test read the wrong topic.
 */
import pLimit from "p-limit";
import type { Catalog } from "#core/catalog/catalog.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type FoundRestore, foundRestore } from "#core/offsets/restored-partitions.ts";
import type { RestoreIntent } from "#core/restore/documents.ts";
import { knownRestore } from "#core/restore/identity.ts";
import { timeText } from "#core/restore/lineage.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import { type RestoreRecord, restoresOf } from "#core/restore/restore-record.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { checkBackupId } from "#core/storage/keys.ts";

export interface ChooseDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  /** The target; without it every restore's topics are taken to be there still. */
  readonly cluster?: Pick<Cluster, "clusterId" | "describeTopics">;
}

/** Given for an id: of the finished restores that fit the one that finished last. */
export const newestRestore = "newest";

/** Restores whose documents are read at a time. */
const concurrentReads = 16;
/** Restores, and topics of each, that a message names. */
const restoresNamed = 10;
const topicsNamed = 5;

interface FinishedRestore {
  readonly report: RestoreReport;
  readonly gone: readonly string[];
}

interface UnfinishedRestore {
  readonly intent: RestoreIntent;
}

interface FittingRestores {
  /** The one that finished last comes first. */
  readonly finished: readonly FinishedRestore[];
  /** Begun, neither finished nor given up; the one that was begun last comes first. */
  readonly unfinished: readonly UnfinishedRestore[];
}

/**
 * The restore `restoreId`; `newest`; or, where nothing is said, the only one that fits. Throws
 * BackupNotFoundError where there is none, InvalidRequestError where several fit or the named one
 * went into another cluster or is not finished, TopicChangedError where all of its topics are gone.
 */
export async function findRestore(
  deps: ChooseDeps,
  backupId: string,
  restoreId?: string,
): Promise<FoundRestore> {
  if (restoreId !== undefined && restoreId !== newestRestore) {
    return namedRestore(deps, backupId, restoreId);
  }
  const fitting = await fittingRestores(deps, backupId);
  if (restoreId === undefined) refuseSeveral(deps, backupId, fitting);
  const [newest] = fitting.finished;
  if (newest === undefined) throw noRestore(deps, backupId, fitting);
  return foundRestore(deps, newest.report, newest.gone);
}

/** The only one that fits, undefined where there is none. Throws where several do, as above. */
export async function findOnlyRestore(
  deps: ChooseDeps,
  backupId: string,
): Promise<FoundRestore | undefined> {
  const fitting = await fittingRestores(deps, backupId);
  refuseSeveral(deps, backupId, fitting);
  const [only] = fitting.finished;
  return only && foundRestore(deps, only.report, only.gone);
}

/** The one that finished last, and the ids of the others, unfinished ones at the end. */
export async function findNewestRestore(
  deps: ChooseDeps,
  backupId: string,
): Promise<{ readonly restore: FoundRestore | undefined; readonly others: readonly string[] }> {
  const fitting = await fittingRestores(deps, backupId);
  const [newest] = fitting.finished;
  if (newest === undefined) return { restore: undefined, others: [] };
  const restore = await foundRestore(deps, newest.report, newest.gone);
  const others = [
    ...fitting.finished.slice(1).map(({ report }) => report.restore_id),
    ...fitting.unfinished.map(({ intent }) => intent.restore_id),
  ];
  return { restore, others };
}

/** `orders into orders-restored, payments and 3 more` */
export function restoredTopicsText(
  topics: readonly { readonly source_topic: string; readonly target_topic: string }[],
): string {
  const named = topics
    .slice(0, topicsNamed)
    .map(({ source_topic, target_topic }) =>
      source_topic === target_topic ? source_topic : `${source_topic} into ${target_topic}`,
    );
  const more = topics.length - named.length;
  return `${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

async function fittingRestores(deps: ChooseDeps, backupId: string): Promise<FittingRestores> {
  const records = await restoresOf(deps.storage, checkBackupId(backupId));
  const limit = pLimit(concurrentReads);
  const read = await Promise.all(records.map((record) => limit(readRestore, record)));
  const here = read.filter((one) => one !== undefined).filter((one) => isHere(deps, one));
  const ids = await topicIds(deps, here);
  const finished = here
    .flatMap(({ report }) => (report === undefined ? [] : [{ report, gone: goneOf(report, ids) }]))
    .filter(({ report, gone }) => gone.length < report.topics.length)
    .sort((a, b) => Number(b.report.finished_at - a.report.finished_at));
  const unfinished = here
    .flatMap((one) => (one.report === undefined && isBegun(one, ids) ? [one] : []))
    .sort((a, b) => Number(b.intent.created_at - a.intent.created_at));
  return { finished, unfinished };
}

type ReadRestore =
  | { readonly report: RestoreReport }
  | {
      readonly report?: undefined;
      readonly intent: RestoreIntent;
      /** Target topics that were made ready, with their ids. */
      readonly ready: ReadonlyMap<string, string>;
    };

/** Undefined for one that was given up. */
async function readRestore(record: RestoreRecord): Promise<ReadRestore | undefined> {
  const report = await record.report();
  if (report !== undefined) return { report };
  const [intent, abandoned] = await Promise.all([record.intent(), record.abandoned()]);
  if (intent === undefined || abandoned !== undefined) return undefined;
  const ready = new Map<string, string>();
  for (const { target_topic } of intent.topics) {
    const target = await record.target(target_topic);
    if (target !== undefined) ready.set(target_topic, target.topic_id);
  }
  return { intent, ready };
}

function isHere({ cluster }: ChooseDeps, read: ReadRestore): boolean {
  const { target_cluster_id } = read.report ?? read.intent;
  return cluster === undefined || cluster.clusterId === target_cluster_id;
}

/** Of the topics that there are; undefined where no cluster is asked. */
type TopicIds = ReadonlyMap<string, string> | undefined;

async function topicIds({ cluster }: ChooseDeps, read: readonly ReadRestore[]): Promise<TopicIds> {
  if (cluster === undefined) return undefined;
  const names = new Set(
    read.flatMap((one) =>
      one.report === undefined
        ? [...one.ready.keys()]
        : one.report.topics.map(({ target_topic }) => target_topic),
    ),
  );
  if (names.size === 0) return new Map();
  const found = await cluster.describeTopics([...names]);
  return new Map(found.map(({ name, topicId }) => [name, topicId]));
}

function goneOf({ topics }: RestoreReport, ids: TopicIds): string[] {
  if (ids === undefined) return [];
  return topics
    .filter(({ target_topic, target_topic_id }) => ids.get(target_topic) !== target_topic_id)
    .map(({ target_topic }) => target_topic);
}

/** One that made no topic ready, or whose topics are all gone, is in nobody's way. */
function isBegun({ ready }: Extract<ReadRestore, { ready: unknown }>, ids: TopicIds): boolean {
  return [...ready].some(([topic, id]) => ids === undefined || ids.get(topic) === id);
}

async function namedRestore(
  deps: ChooseDeps,
  backupId: string,
  restoreId: string,
): Promise<FoundRestore> {
  const { record } = await knownRestore(deps.storage, backupId, restoreId);
  const report = await record.report();
  if (report === undefined) {
    throw new BackupError(
      "InvalidRequestError",
      `restore ${restoreId} of backup "${backupId}" is not finished: it has no whole offset map`,
      { hint: "Repeat the command that began it; it continues where it was stopped." },
    );
  }
  if (!isHere(deps, { report })) {
    throw new BackupError(
      "InvalidRequestError",
      `restore ${restoreId} went into cluster ${report.target_cluster_id}, not into ` +
        `${deps.cluster?.clusterId}`,
      { hint: "Name the bootstrap servers of the cluster that was restored into." },
    );
  }
  const gone = goneOf(report, await topicIds(deps, [{ report }]));
  if (gone.length > 0 && gone.length === report.topics.length) {
    throw new BackupError(
      "TopicChangedError",
      `restore ${restoreId}: topics ${gone.join(", ")} were deleted or created anew since`,
    );
  }
  return foundRestore(deps, report, gone);
}

/**
 * An unfinished one counts: who resets after a restore that ended with failures means that one,
 * and not what was restored for a test last month.
 */
function refuseSeveral(deps: ChooseDeps, backupId: string, fitting: FittingRestores): void {
  const { finished, unfinished } = fitting;
  if (finished.length === 0 || finished.length + unfinished.length === 1) return;
  const what =
    unfinished.length === 0
      ? "Choose one with --restore-id ID; --restore-id newest is the first of these."
      : "Choose a finished one with --restore-id ID; repeat the command of an unfinished one to " +
        "continue it, or give it up with `kafka-backup restore --abandon ID`.";
  throw new BackupError(
    "InvalidRequestError",
    [
      `backup "${backupId}" has several restores${whereText(deps)}, and which is meant is not said:`,
      ...linesOf(fitting),
    ].join("\n"),
    { hint: what },
  );
}

/** One for each, the finished ones first. */
function linesOf({ finished, unfinished }: FittingRestores): string[] {
  const lines = [
    ...finished.map(({ report, gone }) => {
      const { restore_id, finished_at, window, target_cluster_id, topics } = report;
      const there = topics.filter(({ target_topic }) => !gone.includes(target_topic));
      const until = window.end === undefined ? "" : ` up to ${timeText(window.end)}`;
      return (
        `${restore_id}, finished ${timeText(finished_at)}: ${restoredTopicsText(there)}${until}, ` +
        `cluster ${target_cluster_id}`
      );
    }),
    ...unfinished.map(({ intent: { restore_id, created_at, topics, target_cluster_id } }) => {
      const into = restoredTopicsText(topics);
      return (
        `${restore_id}, begun ${timeText(created_at)} and not finished: ${into}, ` +
        `cluster ${target_cluster_id}`
      );
    }),
  ];
  const more = lines.length - restoresNamed;
  return more > 0 ? [...lines.slice(0, restoresNamed), `and ${more} more`] : lines;
}

function noRestore(deps: ChooseDeps, backupId: string, { unfinished }: FittingRestores) {
  const [begun] = unfinished;
  return new BackupError(
    "BackupNotFoundError",
    `backup "${backupId}" has no finished restore${whereText(deps)}`,
    {
      hint:
        begun === undefined
          ? "Restore first: offsets are translated by the map that a restore leaves."
          : `Restore ${begun.intent.restore_id} is not finished: repeat the command that began it.`,
    },
  );
}

function whereText({ cluster }: ChooseDeps): string {
  if (cluster === undefined) return "";
  return ` into cluster ${cluster.clusterId} whose topics are still there`;
}
