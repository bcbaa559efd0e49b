/** What has to be true between the keys of one section. Messages never repeat a value. */
import type { z } from "zod";
import type { OffsetSource, OffsetStrategy } from "#core/offsets/contract.ts";
import { compressionLevels, type FrameCodec } from "#core/segment/codecs.ts";

/** Zod hands checks its refinement context; only adding problems is needed here. */
export type Context = Pick<z.RefinementCtx, "addIssue">;

export function refuse(context: Context, path: (string | number)[], message: string): void {
  context.addIssue({ code: "custom", path, message });
}

/** Refuses one of two keys that mean something together only. */
export function refuseHalf<K extends string>(
  context: Context,
  section: { readonly [key in K]?: string | undefined },
  first: K,
  second: K,
): void {
  if ((section[first] === undefined) === (section[second] === undefined)) return;
  const [given, missing] = section[first] === undefined ? [second, first] : [first, second];
  refuse(context, [missing], `is required with ${given}`);
}

export function checkFilesystem(
  storage: { readonly path?: string | undefined; readonly base_path?: string | undefined },
  context: Context,
): void {
  if (storage.path === undefined && storage.base_path === undefined) {
    refuse(context, ["path"], "is required");
  } else if (storage.path !== undefined && storage.base_path !== undefined) {
    refuse(context, ["base_path"], "is another name for path: give one of the two");
  }
}

export function checkS3(
  storage: {
    readonly access_key_id?: string | undefined;
    readonly secret_access_key?: string | undefined;
    readonly session_token?: string | undefined;
    readonly encryption?: string | undefined;
    readonly kms_key_id?: string | undefined;
  },
  context: Context,
): void {
  refuseHalf(context, storage, "access_key_id", "secret_access_key");
  if (storage.kms_key_id !== undefined && storage.encryption !== "sse-kms") {
    refuse(context, ["kms_key_id"], "does nothing without encryption: sse-kms");
  }
  if (storage.session_token !== undefined && storage.access_key_id === undefined) {
    refuse(context, ["access_key_id"], "is required with session_token");
  }
}

export function checkAzure(
  storage: {
    readonly account?: string | undefined;
    readonly endpoint?: string | undefined;
    readonly account_key?: string | undefined;
    readonly sas_token?: string | undefined;
    readonly connection_string?: string | undefined;
  },
  context: Context,
): void {
  const credentials = ["connection_string", "account_key", "sas_token"] as const;
  const [first, ...others] = credentials.filter((key) => storage[key] !== undefined);
  for (const key of others) refuse(context, [key], `does nothing with ${first}: give one of them`);
  if (first !== "connection_string") return;
  for (const key of ["account", "endpoint"] as const) {
    if (storage[key] !== undefined) refuse(context, [key], "is told by connection_string");
  }
}

/** E.g. `zstd 1 to 19, 1 unless said`. */
export function levelsOf(codec: "zstd" | "gzip"): string {
  const levels = compressionLevels[codec];
  return `${codec} ${levels?.min} to ${levels?.max}, ${levels?.default} unless said`;
}

export function checkBackupSettings(
  settings: { readonly compression: FrameCodec; readonly compression_level?: number | undefined },
  context: Context,
): void {
  const level = settings.compression_level;
  if (level === undefined) return;
  const levels = compressionLevels[settings.compression];
  if (levels === undefined) {
    refuse(context, ["compression_level"], `does nothing: ${settings.compression} has no levels`);
  } else if (level < levels.min || level > levels.max) {
    const range = `${levels.min} to ${levels.max}`;
    refuse(context, ["compression_level"], `must be ${range} for ${settings.compression}`);
  }
}

interface RestoreKeys {
  readonly time_window_start?: bigint | undefined;
  readonly time_window_end?: bigint | undefined;
  readonly topic_mapping: Readonly<Record<string, string>>;
  readonly partition_mapping: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly reset_consumer_offsets: boolean;
  readonly consumer_groups?: readonly string[] | undefined;
  readonly auto_consumer_groups: boolean;
  readonly consumer_group_strategy: OffsetStrategy;
  readonly offset_source?: OffsetSource | undefined;
  readonly backup_first: boolean;
}

export function checkRestoreSettings(settings: RestoreKeys, context: Context): void {
  const { time_window_start: start, time_window_end: end } = settings;
  if (start !== undefined && end !== undefined && start > end) {
    refuse(context, ["time_window_end"], "must not be before time_window_start");
  }
  checkMappings(settings, context);
  checkGroupKeys(settings, context);
}

const groupKeys = [
  "reset_consumer_offsets",
  "consumer_groups",
  "auto_consumer_groups",
  "offset_source",
  "backup_first",
] as const;
/** Of those, the ones that do something only where groups are chosen. */
const keysWithGroups = ["offset_source", "backup_first"] as const;

function checkGroupKeys(settings: RestoreKeys, context: Context): void {
  const isGiven = (key: (typeof groupKeys)[number]) =>
    settings[key] !== undefined && settings[key] !== false;
  if (settings.consumer_group_strategy === "skip") {
    for (const key of groupKeys.filter(isGiven)) {
      refuse(context, [key], "does nothing with consumer_group_strategy: skip");
    }
    return;
  }
  const choice = "consumer_groups or auto_consumer_groups: true";
  if (isGiven("consumer_groups") && isGiven("auto_consumer_groups")) {
    refuse(context, ["auto_consumer_groups"], "takes all groups: give consumer_groups or this");
  } else if (!isGiven("consumer_groups") && !isGiven("auto_consumer_groups")) {
    if (isGiven("reset_consumer_offsets")) {
      refuse(context, ["reset_consumer_offsets"], `needs ${choice}`);
    }
    for (const key of keysWithGroups.filter(isGiven)) {
      refuse(context, [key], `does nothing without ${choice}`);
    }
  }
  if (settings.offset_source === "at-window-end" && settings.time_window_end === undefined) {
    refuse(context, ["offset_source"], "at-window-end needs time_window_end");
  }
}

interface RestoreSections {
  readonly source?: { readonly topics?: unknown } | undefined;
  readonly backup?: object | undefined;
  readonly restore: Pick<RestoreKeys, "backup_first" | "offset_source">;
}

/** What has to be true between the sections of a restore file. */
export function checkRestoreSections(
  { source, backup, restore }: RestoreSections,
  context: Context,
): void {
  if (restore.backup_first) {
    if (source === undefined) refuse(context, ["source"], "is required with restore.backup_first");
    else if (source.topics === undefined) {
      refuse(context, ["source", "topics"], "is required with restore.backup_first");
    }
    return;
  }
  const without = "does nothing without restore.backup_first";
  if (backup !== undefined) refuse(context, ["backup"], without);
  if (source === undefined) return;
  if (restore.offset_source !== "current") {
    refuse(context, ["source"], `${without} or restore.offset_source: current`);
  } else if (source.topics !== undefined) refuse(context, ["source", "topics"], without);
}

/**
 * Refuses what is known without the backup to send two source partitions to one target partition.
 * Every topic has a partition 0, so that one is known even where it is not named; the plan checks
 * the others, when partition counts are known.
 */
function checkMappings(settings: RestoreKeys, context: Context): void {
  const taken = new Map<string, string>();
  const { topic_mapping, partition_mapping } = settings;
  for (const topic of new Set([...Object.keys(topic_mapping), ...Object.keys(partition_mapping)])) {
    const targetTopic = topic_mapping[topic] ?? topic;
    const partitions = { 0: 0, ...partition_mapping[topic] };
    for (const [partition, targetPartition] of Object.entries(partitions)) {
      const from = `partition ${partition} of ${topic}`;
      const to = `${targetTopic}/${targetPartition}`;
      const other = taken.get(to);
      taken.set(to, from);
      if (other === undefined) continue;
      const isNamed = partition_mapping[topic]?.[partition] !== undefined;
      const path = isNamed ? ["partition_mapping", topic, partition] : ["topic_mapping", topic];
      refuse(context, path, `${other} and ${from} would go to the same target partition`);
    }
  }
}
