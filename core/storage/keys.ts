/**
 * Where everything of a backup lies, and what a key may look like; nothing else in the tree puts
 * a key together. Keys of a backup are relative to its folder, as manifests write them;
 * `inBackup` makes them relative to the storage's root:
 *
 *     {backup_id}/manifests/{generation, 8 digits}.json
 *     {backup_id}/manifests/runs-{first}-{last}.json
 *     {backup_id}/manifest.json
 *     {backup_id}/runs/{run_id}/run.json, cluster.json, topics/{topic}.json
 *     {backup_id}/topics/{topic}/partition={id}/segment-{base offset, 20 digits}-{attempt}.{ext}
 *     {backup_id}/state/runs/{run_id}/run.json, plan.json
 *     {backup_id}/state/runs/{run_id}/checkpoints/…
 *     {backup_id}/state/lease/{purpose}/{token, 20 digits}.json
 *     {backup_id}/restores/{restore_id}/…
 *     snapshots/{snapshot_id}.json
 *
 * Folders with user-chosen names in them (topics) hold nothing else: a topic may be called
 * `cluster` or `run.json`. Numbers are padded so that a listing is in their order.
 */
import { BackupError } from "#core/errors.ts";

/** Amazon S3's limit on a whole key, and what file systems take as one name; in UTF-8 bytes. */
export const keyBytesMax = 1024;
export const keyPartBytesMax = 255;

/** Kafka's Topic.MAX_NAME_LENGTH: 255 less the longest suffix of its own folder names. */
const topicNameLengthMax = 249;
const topicNamePattern = /^[A-Za-z0-9._-]+$/;
const idPattern = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;

/** A folder of its own beside the backups. */
export const snapshotsFolder = "snapshots/";

// What a name or key may be

/**
 * Returns the id: 1 to 200 of `A-Z a-z 0-9 . _ -`, not starting with a dot, and not `snapshots`,
 * which lies beside the backups. Throws InvalidRequestError.
 */
export function checkBackupId(id: string): string {
  if (`${id}/` === snapshotsFolder) {
    throw new BackupError("InvalidRequestError", "backup id `snapshots` is taken by the format", {
      hint: "Choose another backup_id.",
    });
  }
  return checkId("backup id", id);
}

/** Ids that the software makes or a user passes: of runs, restores, snapshots. */
export function checkId(what: string, id: string): string {
  if (idPattern.test(id)) return id;
  throw new BackupError("InvalidRequestError", `${what} ${quoted(id)} is not valid`, {
    hint: "Use 1 to 200 letters, digits, dots, underscores and dashes, not starting with a dot.",
  });
}

/** Returns the name when Kafka would take it for a topic, else throws InvalidRequestError. */
export function checkTopicName(name: string): string {
  const isValid =
    topicNamePattern.test(name) &&
    name.length <= topicNameLengthMax &&
    name !== "." &&
    name !== "..";
  if (isValid) return name;
  throw new BackupError("InvalidRequestError", `topic name ${quoted(name)} is not valid`, {
    hint: "Kafka allows 1 to 249 letters, digits, dots, underscores and dashes; not `.` or `..`.",
  });
}

/**
 * Returns the key when it names something below the place it is relative to, on every backend:
 * no `..`, no leading or double `/`, no backslash, no control character. Every backend asks this
 * first (S2), so that no manifest, whoever wrote it, reaches outside. Throws CorruptManifestError.
 */
export function checkRelativeKey(key: string): string {
  const reason = badKeyReason(key);
  if (reason === undefined) return key;
  throw new BackupError("CorruptManifestError", `object key ${quoted(key)} ${reason}`);
}

/** The same for the prefix of a listing, whose last part may be empty or cut short. */
export function checkKeyPrefix(prefix: string): string {
  const reason = prefix === "" ? undefined : badKeyReason(prefix.replace(/\/$/, ""));
  if (reason === undefined) return prefix;
  throw new BackupError("CorruptManifestError", `key prefix ${quoted(prefix)} ${reason}`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: to refuse them
const controlCharacter = /[\u0000-\u001f\u007f]/;

function badKeyReason(key: string): string | undefined {
  if (key === "") return "is empty";
  if (controlCharacter.test(key)) return "holds a control character";
  if (key.includes("\\")) return "holds a backslash";
  if (!key.isWellFormed()) return "is not valid Unicode";
  if (Buffer.byteLength(key) > keyBytesMax) return `is longer than ${keyBytesMax} bytes`;
  for (const part of key.split("/")) {
    if (part === "") return "has an empty part";
    if (part === "." || part === "..") return `has a part ${part}`;
    if (Buffer.byteLength(part) > keyPartBytesMax) {
      return `has a part longer than ${keyPartBytesMax} bytes`;
    }
  }
  return undefined;
}

const quotedLengthMax = 300;

/** For messages: control characters escaped, length bounded. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, quotedLengthMax));
}

/** Orders keys by their UTF-8 bytes, as object stores list them (JavaScript orders UTF-16). */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return utf8Rank(left) - utf8Rank(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above U+FFFF: after all other code units. */
function utf8Rank(codeUnit: number): number {
  const isSurrogate = codeUnit >= 0xd800 && codeUnit <= 0xdfff;
  return isSurrogate ? codeUnit + 0x10000 : codeUnit;
}

// A backup and its manifests

/** A backup's key relative to the storage's root. Throws InvalidRequestError on a bad id. */
export function inBackup(backupId: string, key: string): string {
  return `${checkBackupId(backupId)}/${key}`;
}

export const manifestsFolder = "manifests/";
/** The copy of the newest manifest, for people and tools. */
export const newestManifestKey = "manifest.json";

const generationDigits = 8;
const generationMax = 10 ** generationDigits - 1;

/** `manifests/00000001.json` */
export function manifestKey(generation: number): string {
  return `${manifestsFolder}${padded(generation, generationDigits, generationMax)}.json`;
}

/** The generation of a manifest's key, or undefined when it is not one. */
export function parseManifestKey(key: string): number | undefined {
  const match = /^manifests\/(\d{8})\.json$/.exec(key);
  return match === null ? undefined : Number(match[1]);
}

/** `manifests/runs-00000001-00000256.json`: entries of those runs, counted from the first, 1. */
export function runPageKey(first: number, last: number): string {
  const from = padded(first, generationDigits, generationMax);
  const to = padded(last, generationDigits, generationMax);
  return `${manifestsFolder}runs-${from}-${to}.json`;
}

// Runs

export const runsFolder = "runs/";

export function runFolder(runId: string): string {
  return `${runsFolder}${checkId("run id", runId)}/`;
}

export function runDocumentKey(runId: string): string {
  return `${runFolder(runId)}run.json`;
}

export function clusterDocumentKey(runId: string): string {
  return `${runFolder(runId)}cluster.json`;
}

export function runListKey(runId: string, topic: string): string {
  return `${runFolder(runId)}topics/${checkTopicName(topic)}.json`;
}

// Segments

export const topicsFolder = "topics/";

export const segmentExtensions = ["zst", "lz4", "gz", "sz", "log"] as const;
/** By the codec of the segment's frames: zstd, lz4, gzip, snappy, none. */
export type SegmentExtension = (typeof segmentExtensions)[number];
export const indexExtension = "index";

export interface SegmentName {
  readonly topic: string;
  readonly partition: number;
  /** Of the first batch; never negative. */
  readonly baseOffset: bigint;
  /** Unique for each attempt to write a segment: no two writers ever mean the same key. */
  readonly attempt: string;
}

export interface ParsedSegmentKey extends SegmentName {
  readonly extension: SegmentExtension | typeof indexExtension;
}

const offsetMax = 2n ** 63n - 1n;
const partitionMax = 2 ** 31 - 1;
const attemptPattern = /^[0-9A-Za-z]{1,64}$/;

/** `topics/{topic}/partition={id}/` */
export function partitionFolder(topic: string, partition: number): string {
  checkInteger("partition", partition, partitionMax);
  return `${topicsFolder}${checkTopicName(topic)}/partition=${partition}/`;
}

/** `topics/{topic}/partition={id}/segment-{base offset}-{attempt}.{extension}` */
export function segmentKey(name: SegmentName, extension: SegmentExtension): string {
  return `${segmentStem(name)}.${extension}`;
}

export function indexKey(name: SegmentName): string {
  return `${segmentStem(name)}.${indexExtension}`;
}

/** The index of a segment that is known by its key, as run lists name it. */
export function indexKeyOf(key: string): string {
  const parsed = parseSegmentKey(key);
  if (parsed !== undefined && parsed.extension !== indexExtension) return indexKey(parsed);
  throw new BackupError("CorruptManifestError", `${quoted(key)} is not the key of a segment`);
}

function segmentStem(name: SegmentName): string {
  if (!attemptPattern.test(name.attempt)) {
    throw new BackupError("InvalidRequestError", `attempt ${quoted(name.attempt)} is not valid`);
  }
  const offset = offsetDigits(name.baseOffset);
  return `${partitionFolder(name.topic, name.partition)}segment-${offset}-${name.attempt}`;
}

const partitionFolderPattern = /topics\/([A-Za-z0-9._-]{1,249})\/partition=(0|[1-9]\d{0,9})/;
const segmentFilePattern = /segment-(\d{20})-([0-9A-Za-z]{1,64})\.(zst|lz4|gz|sz|log|index)/;
const segmentKeyPattern = new RegExp(
  `^${partitionFolderPattern.source}/${segmentFilePattern.source}$`,
);

/** The parts of a segment's or index's key, or undefined when the key is neither. */
export function parseSegmentKey(key: string): ParsedSegmentKey | undefined {
  const match = segmentKeyPattern.exec(key);
  if (match === null) return undefined;
  const [, topic, partition, offset, attempt, extension] = match;
  const baseOffset = BigInt(offset!);
  const isTooLarge = Number(partition) > partitionMax || baseOffset > offsetMax;
  if (isTooLarge || topic === "." || topic === "..") return undefined;
  return {
    topic: topic!,
    partition: Number(partition),
    baseOffset,
    attempt: attempt!,
    extension: extension as ParsedSegmentKey["extension"],
  };
}

// State of what is under way

export const stateRunsFolder = "state/runs/";

export function stateRunFolder(runId: string): string {
  return `${stateRunsFolder}${checkId("run id", runId)}/`;
}

export function openRunKey(runId: string): string {
  return `${stateRunFolder(runId)}run.json`;
}

/** What the run means to read: the plan that its workers share. */
export function backupPlanKey(runId: string): string {
  return `${stateRunFolder(runId)}plan.json`;
}

export const leasesFolder = "state/lease/";

/**
 * `purpose` is what the lease guards, its parts divided by colons: `backup`,
 * `restore:{cluster id}`. Each part becomes a folder.
 */
export function leaseFolder(purpose: string): string {
  return `${leasesFolder}${purpose.split(":").map(escapedPart).join("/")}/`;
}

/** One key per acquisition and renewal, each created only if absent: the greatest token holds. */
export function leaseKey(purpose: string, token: number): string {
  return `${leaseFolder(purpose)}${padded(token, 20, Number.MAX_SAFE_INTEGER)}.json`;
}

export function parseLeaseKey(key: string): number | undefined {
  const match = /^state\/lease\/.+\/(\d{20})\.json$/.exec(key);
  const token = Number(match?.[1]);
  return Number.isSafeInteger(token) ? token : undefined;
}

// Restores

export const restoresFolder = "restores/";

export function restoreFolder(restoreId: string): string {
  return `${restoresFolder}${checkId("restore id", restoreId)}/`;
}

/** What was asked for and found, stored before anything is created. */
export function restoreIntentKey(restoreId: string): string {
  return `${restoreFolder(restoreId)}intent.json`;
}

export function restoreReportKey(restoreId: string): string {
  return `${restoreFolder(restoreId)}report.json`;
}

export function restoreTargetKey(restoreId: string, targetTopic: string): string {
  return `${restoreFolder(restoreId)}targets/${checkTopicName(targetTopic)}.json`;
}

/** The topic has all its records, verified, and its settings back. */
export function restoredTopicKey(restoreId: string, targetTopic: string): string {
  return `${restoreFolder(restoreId)}restored/${checkTopicName(targetTopic)}.json`;
}

/** The restore was given up: it is neither continued nor in anybody's way. */
export function restoreAbandonedKey(restoreId: string): string {
  return `${restoreFolder(restoreId)}abandoned.json`;
}

/** `restores/{restore_id}/partitions/{target topic}/{target partition}/` */
export function restorePartitionFolder(
  restoreId: string,
  targetTopic: string,
  targetPartition: number,
): string {
  checkInteger("partition", targetPartition, partitionMax);
  const topic = checkTopicName(targetTopic);
  return `${restoreFolder(restoreId)}partitions/${topic}/${targetPartition}/`;
}

/** Names within a `restorePartitionFolder`. */
export const restoreStartName = "start.json";
export const restoreResultName = "result.json";
export const restoreVerifiedName = "verified.json";

export function restoreCheckpointName(sequence: number): string {
  return `checkpoint-${sequenceDigits(sequence)}.json`;
}

export function restoreMapName(sequence: number, attempt: string): string {
  return `map-${sequenceDigits(sequence)}-${checkId("attempt", attempt)}.bin`;
}

// Snapshots of consumer group offsets, beside the backups

export function snapshotKey(snapshotId: string): string {
  return `${snapshotsFolder}${checkId("snapshot id", snapshotId)}.json`;
}

// Numbers and foreign names in keys

export function offsetDigits(offset: bigint): string {
  return padded(offset, 20, offsetMax);
}

export function partitionDigits(partition: number): string {
  checkInteger("partition", partition, partitionMax);
  return partition.toString();
}

export function sequenceDigits(sequence: number): string {
  return padded(sequence, 8, 99_999_999);
}

function padded<T extends number | bigint>(value: T, digits: number, max: T): string {
  checkInteger("number of a key", value, max);
  return value.toString().padStart(digits, "0");
}

function checkInteger<T extends number | bigint>(what: string, value: T, max: T): void {
  const isInteger = typeof value === "bigint" || Number.isSafeInteger(value);
  if (isInteger && value >= 0 && value <= max) return;
  throw new BackupError("InvalidRequestError", `${what} ${value} is not between 0 and ${max}`);
}

/** A name from outside as one key part; Kafka's own cluster ids stay as they are. */
function escapedPart(name: string): string {
  if (name === "" || name === "." || name === "..") {
    throw new BackupError("InvalidRequestError", `${quoted(name)} cannot be a part of a key`);
  }
  return encodeURIComponent(name);
}
