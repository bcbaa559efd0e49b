/**
 * The one table of error names. Names are a public contract: Step Functions reads nothing but an
 * error's name, scripts read exit codes. They are added, never renamed. `docs/errors.md` is
 * generated from this table (`npm run generate`).
 */

/**
 * What a caller may do with the failed step, unchanged:
 * `backoff` repeat with growing pauses; `wait` repeat when somebody else is done;
 * `catch` has a handler of its own; `never` repeating cannot help.
 */
export type RetryClass = "backoff" | "wait" | "catch" | "never";

interface ErrorEntry {
  readonly retry: RetryClass;
  /** HTTP status of the API's problem answer (RFC 9457). */
  readonly status: number;
  /** Exit code of the command line. */
  readonly exitCode: number;
  readonly summary: string;
  readonly hint: string;
}

export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  doneWithGaps: 3,
  notFound: 10,
  leaseHeld: 11,
  denied: 12,
  damaged: 13,
  preflightRefused: 14,
  cancelled: 130,
} as const;

export const errorTable = {
  InvalidConfigError: {
    retry: "never",
    status: 400,
    exitCode: exitCodes.usage,
    summary: "The configuration has an unknown, missing, duplicate or malformed key.",
    hint: "Correct the named line; `kafka-backup config check --config FILE` repeats the check.",
  },
  InvalidRequestError: {
    retry: "never",
    status: 400,
    exitCode: exitCodes.usage,
    summary: "An argument is missing, malformed or contradicts another one.",
    hint: "Correct the named argument; `kafka-backup COMMAND --help` shows examples.",
  },
  BackupNotFoundError: {
    retry: "never",
    status: 404,
    exitCode: exitCodes.notFound,
    summary: "There is no backup of that id, or no such generation, lineage or restore.",
    hint: "`kafka-backup list --path LOCATION` shows what is there.",
  },
  ObjectNotFoundError: {
    retry: "never",
    status: 404,
    exitCode: exitCodes.notFound,
    summary: "The object store holds nothing under that key.",
    hint: "Check bucket, prefix and path; `kafka-backup validate` finds what a backup lacks.",
  },
  TopicNotFoundError: {
    retry: "never",
    status: 404,
    exitCode: exitCodes.notFound,
    summary: "A topic named in the request does not exist, or a pattern matches none.",
    hint: "Correct topics.include, or create the topic.",
  },
  AccessDeniedError: {
    retry: "never",
    status: 403,
    exitCode: exitCodes.denied,
    summary: "Kafka or the object store refused the credentials or the operation.",
    hint: "Grant the named operation on the named resource, or correct the credentials.",
  },
  BackupConflictError: {
    retry: "wait",
    status: 409,
    exitCode: exitCodes.leaseHeld,
    summary: "Another run holds the lease, or wrote the same object with other content.",
    hint: "Wait for the other run to end; a dead run's lease is taken over after 30 seconds.",
  },
  TargetNotEmptyError: {
    retry: "never",
    status: 409,
    exitCode: exitCodes.preflightRefused,
    summary: "The target topic already holds records.",
    hint:
      "Leave it out with target.topics.exclude, restore it under another name with " +
      "restore.topic_mapping, or pass --yes to append.",
  },
  PreflightRefusedError: {
    retry: "never",
    status: 409,
    exitCode: exitCodes.preflightRefused,
    summary: "The checks before the first write found that data would be lost or changed.",
    hint: "Follow the remedy of each finding; `restore --dry-run` repeats the checks.",
  },
  SnapshotNotFoundError: {
    retry: "never",
    status: 404,
    exitCode: exitCodes.notFound,
    summary: "There is no offset snapshot of that id.",
    hint: "`kafka-backup offset-rollback list --path LOCATION` shows what is there.",
  },
  GroupNotEmptyError: {
    retry: "wait",
    status: 409,
    exitCode: exitCodes.preflightRefused,
    summary: "The consumer group has members: they would commit over what is set.",
    hint: "Stop the group's consumers, wait for their session to end, and run the command again.",
  },
  OffsetResetFailedError: {
    retry: "never",
    status: 500,
    exitCode: exitCodes.failed,
    summary: "The groups could not all be reset; they were rolled back to the safety snapshot.",
    hint: "The restored records stay; `three-phase-restore --resume` repeats the reset alone.",
  },
  TopicChangedError: {
    retry: "never",
    status: 409,
    exitCode: exitCodes.failed,
    summary: "The topic was deleted and created again, or its log was truncated, during the run.",
    hint: "Run the command again: the backup starts a new lineage, a restore needs --new.",
  },
  OffsetOutOfRangeError: {
    retry: "catch",
    status: 409,
    exitCode: exitCodes.doneWithGaps,
    summary: "The wanted offset is no longer, or not yet, in the partition's log.",
    hint: "Retention overtook the reader: back up more often or raise retention.ms.",
  },
  CorruptRecordBatchError: {
    retry: "catch",
    status: 422,
    exitCode: exitCodes.damaged,
    summary: "A record batch fails its CRC-32C or cannot be decoded.",
    hint: "Compare the replicas with kafka-dump-log; the named offset is where to look.",
  },
  UnsupportedCodecError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.failed,
    summary: "A record batch names a compression codec that this version does not know.",
    hint: "Update kafka-backup; known are none, gzip, snappy, lz4 and zstd.",
  },
  SegmentNotFoundError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.damaged,
    summary: "A segment or index that the manifest names is missing.",
    hint: "`kafka-backup validate` lists all that is missing; restore an older object version.",
  },
  CorruptSegmentError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.damaged,
    summary: "A segment or index does not match its recorded size or SHA-256.",
    hint: "`kafka-backup validate --deep` lists all that is damaged; restore an older version.",
  },
  CorruptManifestError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.damaged,
    summary: "A manifest, run or run list is malformed, or its hash chain is broken.",
    hint: "`kafka-backup validate` shows where; restore an older version of that object.",
  },
  BackupDamagedError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.damaged,
    summary: "A validation found the backup damaged; its report says where.",
    hint: "Follow the remedy of each finding; docs/operations.md says how.",
  },
  UnsupportedFormatVersionError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.failed,
    summary: "The backup was written in a format that is newer than this version.",
    hint: "Update kafka-backup to the version that the message names, or later.",
  },
  RecordTooLargeError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.failed,
    summary: "A single record is larger than the target topic accepts.",
    hint: "Raise max.message.bytes of the target topic to the size that the message names.",
  },
  ForeignWriterError: {
    retry: "never",
    status: 409,
    exitCode: exitCodes.failed,
    summary: "Records that are not the restore's own were found in the target partition.",
    hint: "Stop producers of the target topic, then restore again under --new.",
  },
  VerificationFailedError: {
    retry: "never",
    status: 422,
    exitCode: exitCodes.failed,
    summary: "What the target holds after the restore differs from what was sent.",
    hint: "Delete the target topic and restore again; the message names the first difference.",
  },
  BrokerUnavailableError: {
    retry: "backoff",
    status: 503,
    exitCode: exitCodes.failed,
    summary: "A Kafka broker did not answer, or answered that it cannot serve now.",
    hint: "Check bootstrap_servers, listeners and the brokers' logs; then run the command again.",
  },
  StorageUnavailableError: {
    retry: "backoff",
    status: 503,
    exitCode: exitCodes.failed,
    summary: "The object store did not answer, or answered with a server error.",
    hint: "Check endpoint, network and disk; the run can be resumed.",
  },
  ThrottledError: {
    retry: "backoff",
    status: 429,
    exitCode: exitCodes.failed,
    summary: "The object store asked to slow down.",
    hint: "Lower backup.max_concurrent_partitions, or raise the quota; the run can be resumed.",
  },
  CircuitOpenError: {
    retry: "never",
    status: 503,
    exitCode: exitCodes.failed,
    summary:
      "The brokers, the object store or the catalogue's table answered nothing any more: the run was stopped, and what is durable stays.",
    hint: "When they answer again, run the same command: a backup goes on from its checkpoints, a restore from what was acknowledged.",
  },
  CancelledError: {
    retry: "never",
    status: 499,
    exitCode: exitCodes.cancelled,
    summary: "The run was stopped on request; what is durable stays.",
    hint: "The same command continues it.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorName = keyof typeof errorTable;

export interface ErrorOptions {
  /** The foreign error this one translates. */
  cause?: unknown;
  /** Replaces the table's hint where the place allows a better one. */
  hint?: string;
  /** Machine-readable place: topic, partition, offset, key. */
  details?: Readonly<Record<string, string | number | bigint | boolean>>;
}

/** An error whose `name` is one of the table; the message says what and where, the hint what to do. */
export class BackupError extends Error {
  override readonly name: ErrorName;
  readonly hint: string;
  readonly details: NonNullable<ErrorOptions["details"]>;

  constructor(name: ErrorName, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = name;
    this.hint = options.hint ?? errorTable[name].hint;
    this.details = options.details ?? {};
  }
}

/** True where `error` is ours and bears one of `names` (any of ours when none is given). */
export function isBackupError(error: unknown, ...names: ErrorName[]): error is BackupError {
  return error instanceof BackupError && (names.length === 0 || names.includes(error.name));
}

/** Whether repeating the same step after a pause may succeed. */
export function isRetryable(error: unknown): boolean {
  return error instanceof BackupError && errorTable[error.name].retry === "backoff";
}

/** Exit code of the command line for any thrown value. */
export function exitCodeOf(error: unknown): number {
  return error instanceof BackupError ? errorTable[error.name].exitCode : exitCodes.failed;
}
