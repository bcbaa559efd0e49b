/** All segments of a topic over all runs, in order, with memory bounded whatever the history. */
import type { Catalog } from "#core/catalog/catalog.ts";
import { corrupt } from "#core/catalog/documents.ts";
import type {
  LineageState,
  Manifest,
  ObjectReference,
  RunList,
  SegmentEntry,
} from "#core/catalog/manifest.ts";
import { type ReadAheadLimits, readAhead } from "#core/catalog/read-ahead.ts";
import { BackupError } from "#core/errors.ts";
import { inBackup } from "#core/storage/keys.ts";

export interface SegmentSelection {
  readonly topic: string;
  /** All partitions when absent. */
  readonly partition?: number;
  /** All lineages when absent. */
  readonly lineage?: number;
}

export interface SegmentOfPartition {
  readonly runId: string;
  readonly partition: number;
  readonly lineage: number;
  readonly segment: SegmentEntry;
}

/**
 * Run documents and lists read ahead of the consumer, each. 16 hide some 30 ms of an object
 * store's latency; parsed, a list takes about three times its bytes, so that is 12 MiB.
 */
const aheadLimits = { bytesMax: 4 * 1024 * 1024, countMax: 16 };

/**
 * Run by run, oldest first; each lineage of a partition in ascending order of offsets. Throws TopicNotFoundError for a topic, partition or lineage that
 * the manifest does not hold; CorruptManifestError where segments overlap, reach past
 * `next_offset`, belong to no lineage of the manifest or, at the end, are fewer or more than its
 * totals say.
 */
export async function* segmentsOf(
  catalog: Catalog,
  manifest: Manifest,
  selection: SegmentSelection,
): AsyncGenerator<SegmentOfPartition> {
  const lineages = selectLineages(manifest, selection);
  for await (const { reference, list } of runListsOf(catalog, manifest, selection.topic)) {
    const key = inBackup(manifest.backup_id, reference.key);
    for (const found of list.partitions) {
      const { partition, lineage } = found;
      if (!isSelected(selection, partition, lineage)) continue;
      const progress = lineages.get(`${partition}/${lineage}`);
      if (progress === undefined || progress.state.topic_id !== found.topic_id) {
        throw corrupt(
          key,
          `partition ${partition}: the manifest has no lineage ${lineage} of topic id ` +
            `${JSON.stringify(found.topic_id)}`,
        );
      }
      for (const segment of found.segments) {
        advance(key, progress, partition, segment);
        yield { runId: list.run_id, partition, lineage, segment };
      }
    }
  }
  const manifestName = `manifest ${manifest.generation} of backup "${manifest.backup_id}"`;
  for (const [name, progress] of lineages) checkTotals(manifestName, name, progress);
}

interface Progress {
  readonly state: LineageState;
  /** Inclusive; -1 before the first segment. */
  endOffset: bigint;
  segmentCount: number;
  batchCount: number;
  recordCount: number;
}

function isSelected(selection: SegmentSelection, partition: number, lineage: number): boolean {
  return (
    (selection.partition ?? partition) === partition && (selection.lineage ?? lineage) === lineage
  );
}

function selectLineages(manifest: Manifest, selection: SegmentSelection): Map<string, Progress> {
  const topic = manifest.topics.find(({ name }) => name === selection.topic);
  const selected = new Map<string, Progress>();
  for (const { partition, lineages } of topic?.partitions ?? []) {
    for (const state of lineages) {
      if (!isSelected(selection, partition, state.lineage)) continue;
      const counted = { endOffset: -1n, segmentCount: 0, batchCount: 0, recordCount: 0 };
      selected.set(`${partition}/${state.lineage}`, { state, ...counted });
    }
  }
  const isWholeEmptyTopic = topic?.partitions.length === 0 && selection.partition === undefined;
  if (selected.size > 0 || isWholeEmptyTopic) return selected;
  const { partition, lineage } = selection;
  throw new BackupError(
    "TopicNotFoundError",
    `backup "${manifest.backup_id}" generation ${manifest.generation} holds nothing of topic ` +
      `${JSON.stringify(selection.topic)}` +
      (partition === undefined ? "" : ` partition ${partition}`) +
      (lineage === undefined ? "" : ` lineage ${lineage}`),
    { hint: "`kafka-backup describe` shows topics, partitions and lineages of the backup." },
  );
}

async function* runListsOf(
  catalog: Catalog,
  manifest: Manifest,
  topic: string,
): AsyncGenerator<{ reference: ObjectReference; list: RunList }> {
  const limits: ReadAheadLimits<ObjectReference> = {
    ...aheadLimits,
    bytesOf: ({ bytes }) => bytes,
  };
  const lists = readAhead(listReferences(catalog, manifest, topic), limits, (reference) =>
    catalog.readRunList(manifest.backup_id, reference),
  );
  for await (const { item: reference, result: list } of lists) yield { reference, list };
}

async function* listReferences(
  catalog: Catalog,
  manifest: Manifest,
  topic: string,
): AsyncGenerator<ObjectReference> {
  const limits = { ...aheadLimits, bytesOf: ({ run }: { run: ObjectReference }) => run.bytes };
  const runs = readAhead(catalog.runsOf(manifest), limits, ({ run }) =>
    catalog.readRunDocument(manifest.backup_id, run),
  );
  for await (const { result } of runs) {
    const list = result.lists.find((candidate) => candidate.topic === topic);
    if (list !== undefined) yield list;
  }
}

function advance(key: string, progress: Progress, partition: number, segment: SegmentEntry): void {
  const { start_offset: start, end_offset: end } = segment;
  if (start <= progress.endOffset) {
    throw corrupt(
      key,
      `partition ${partition}: ${segment.key} begins at offset ${start}, but the segments before ` +
        `it end at ${progress.endOffset}`,
    );
  }
  if (end >= progress.state.next_offset) {
    throw corrupt(
      key,
      `partition ${partition}: ${segment.key} ends at offset ${end}, but the manifest's ` +
        `next_offset is ${progress.state.next_offset}`,
    );
  }
  progress.endOffset = end;
  progress.segmentCount += 1;
  progress.batchCount += segment.batch_count;
  progress.recordCount += segment.record_count;
}

function checkTotals(manifestName: string, lineageName: string, progress: Progress): void {
  const { totals } = progress.state;
  const isComplete =
    progress.segmentCount === totals.segment_count &&
    progress.batchCount === totals.batch_count &&
    progress.recordCount === totals.record_count;
  if (isComplete) return;
  throw corrupt(
    manifestName,
    `partition/lineage ${lineageName} should have ${totals.segment_count} segments, ` +
      `${totals.batch_count} batches and ${totals.record_count} records; the run lists have ` +
      `${progress.segmentCount}, ${progress.batchCount} and ${progress.recordCount}`,
  );
}
