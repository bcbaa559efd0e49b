/**
 * A Kafka cluster as the engine sees it. `core/kafka/connect.ts` makes one over kafkajs.
 *
 * Methods find the right broker themselves, refresh metadata when a leader moved and repeat what
 * is safe to repeat a few times; `produce` is never repeated. They throw, with Kafka's own error
 * name and the topic-partition in the message and `details.kafka_error`:
 * BrokerUnavailableError (no answer, or a retriable error that lasted), AccessDeniedError,
 * TopicNotFoundError, OffsetOutOfRangeError, TopicChangedError (UNKNOWN_TOPIC_ID,
 * FENCED_LEADER_EPOCH that a refresh did not cure), InvalidRequestError (the broker called a
 * request of the user's invalid, e.g. a bad topic name or setting).
 */

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface Cluster {
  /** As the brokers report it. */
  readonly clusterId: string;

  /** Node ids of the brokers that are up, ascending. */
  brokerIds(): Promise<number[]>;

  /** Topics by name, or all that the credentials may see. Absent names are left out. */
  describeTopics(names?: readonly string[]): Promise<TopicDescription[]>;

  /**
   * All settings of topics, with where each value comes from, in the order asked for; a topic's
   * failure (TopicNotFoundError, AccessDeniedError) is in its result. `settingsOf` asks for one.
   */
  topicSettings(topics: readonly string[]): Promise<TopicSettings[]>;

  /** Waits until every partition has a leader. Throws InvalidRequestError when one exists. */
  createTopics(topics: readonly NewTopic[]): Promise<void>;

  /** CreateTopics with validate_only: throws what `createTopics` would throw, creates nothing. */
  validateNewTopic(topic: NewTopic): Promise<void>;

  /**
   * IncrementalAlterConfigs (KIP-339): untouched settings stay as they are. Waits until every
   * broker has the changes, and needs DescribeConfigs for that.
   */
  alterTopicSettings(topic: string, changes: readonly SettingChange[]): Promise<void>;

  /** The same with validate_only: throws what `alterTopicSettings` would throw, alters nothing. */
  validateTopicSettings(topic: string, changes: readonly SettingChange[]): Promise<void>;

  /** ListOffsets. One result for each asked partition; a partition's failure is in its result. */
  listOffsets(
    partitions: readonly TopicPartition[],
    at: OffsetSpec,
  ): Promise<(TopicPartition & ({ offset: bigint; leaderEpoch: number } | { error: Error }))[]>;

  /**
   * OffsetForLeaderEpoch (KIP-101/320): where `leaderEpoch` ends in the leader's log: the log end
   * offset for the current epoch, which ListOffsets never shows. The answer's epoch is the largest
   * one not above the asked one that the log knows (-1 and offset -1 when it knows none).
   */
  endOffsetOfEpoch(
    at: TopicPartition,
    leaderEpoch: number,
  ): Promise<{ leaderEpoch: number; endOffset: bigint }>;

  /** The log end offset of the leader's log (not the high watermark) and the current epoch. */
  logEndOffset(at: TopicPartition): Promise<{ leaderEpoch: number; endOffset: bigint }>;

  fetch(request: FetchRequest): Promise<FetchedPartition>;

  /** A producer id of this cluster with its epoch (idempotent, without a transactional id). */
  initProducerId(): Promise<{ producerId: bigint; producerEpoch: number }>;

  /**
   * Sends one record batch with acks=all to the partition's leader, once, and resolves with the
   * broker's verdict. Throws BrokerUnavailableError when no answer came: the batch may or may not
   * have been written. Any number of calls may be in flight; they arrive in call order.
   */
  produce(request: ProduceRequest): Promise<ProduceAnswer>;

  /**
   * Committed offsets of the named groups, or of all groups that the credentials may see, from
   * every broker (K8): BrokerUnavailableError where one does not answer, or a part of all groups
   * has no coordinator. A named group that does not exist has no offsets.
   */
  committedOffsets(groups?: readonly string[]): Promise<CommittedOffsets>;

  /** Groups by name, in the order asked for; a group's failure is in its result. */
  describeGroups(groups: readonly string[]): Promise<(GroupDescription | GroupFailure)[]>;

  /**
   * OffsetCommit as of no member (generation -1): the broker takes it only while the group has no
   * members. Idempotent, so it is repeated like a read (C4). One result for each offset.
   */
  commitOffsets(group: string, offsets: readonly NewOffset[]): Promise<OffsetResult[]>;

  /** OffsetDelete. Idempotent: what was not committed counts as deleted. */
  deleteOffsets(group: string, partitions: readonly TopicPartition[]): Promise<OffsetResult[]>;

  /** Producers with an open transaction on a partition (DescribeProducers, KIP-664). */
  openTransactions(at: TopicPartition): Promise<OpenTransaction[]>;

  /** ACL bindings as name-value records, or undefined where the credentials may not see them. */
  describeAcls(): Promise<Record<string, string>[] | undefined>;

  /**
   * What the credentials may do on the cluster, by names as in `authorizedOperations` of a topic
   * (KIP-430); undefined where they may not describe it, and so not know.
   */
  clusterOperations(): Promise<readonly string[] | undefined>;

  /**
   * The same for groups, whether they exist or not, in the order asked for; undefined where a
   * broker does not say. A group's failure is in its result: AccessDeniedError without DESCRIBE.
   */
  groupOperations(groups: readonly string[]): Promise<(GroupOperations | GroupFailure)[]>;

  /**
   * Bytes that the leaders' logs of the topics take on their disks (DescribeLogDirs), or undefined
   * where the credentials may not describe the cluster.
   */
  logSizes(topics: readonly string[]): Promise<(TopicPartition & { bytes: bigint })[] | undefined>;

  /**
   * Milliseconds for which brokers have held this client back so far (KIP-219), the sum over the
   * brokers. All methods wait as they are told; the first time is logged.
   */
  throttledMs(): number;

  /** Drops every connection at once: nothing queued is sent after it resolves. Idempotent. */
  disconnect(): Promise<void>;
}

export interface TopicDescription {
  readonly name: string;
  /** Base64 as Kafka's tools print it, 22 characters. */
  readonly topicId: string;
  readonly internal: boolean;
  /**
   * What the credentials may do on the topic (KIP-430), by the names of `AclOperation` without
   * its prefix: `READ`, `WRITE`, `ALTER_CONFIGS`. Undefined where the broker does not say.
   */
  readonly authorizedOperations: readonly string[] | undefined;
  readonly partitions: readonly PartitionDescription[];
}

export interface PartitionDescription {
  readonly partition: number;
  /** Node id, or -1 when there is no leader. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
}

export type TopicSettings = { readonly topic: string } & (
  | { readonly settings: readonly TopicSetting[] }
  | { readonly error: Error }
);

export interface TopicSetting {
  readonly name: string;
  /** null where the broker keeps it secret. */
  readonly value: string | null;
  /** Set on the topic itself, not inherited from broker or default. */
  readonly ofTopic: boolean;
  readonly readOnly: boolean;
}

export interface NewTopic {
  readonly topic: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  readonly config: Readonly<Record<string, string>>;
}

export type SettingChange =
  | { readonly name: string; readonly set: string }
  | { readonly name: string; readonly delete: true };

/** `lastStable` is the end for read_committed, `highWatermark` for read_uncommitted. */
export type OffsetSpec =
  | "earliest"
  | "lastStable"
  | "highWatermark"
  | { readonly timestamp: bigint };

export interface FetchRequest extends TopicPartition {
  readonly fetchOffset: bigint;
  /** Sent along, so that a re-created or diverged log is refused; -1 for no check. */
  readonly currentLeaderEpoch: number;
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly isolation: "read_committed" | "read_uncommitted";
}

export interface FetchedPartition {
  /** Above 0 the broker held records back (KIP-219): no records does not mean that none are there. */
  readonly throttleTimeMs: number;
  readonly highWatermark: bigint;
  readonly lastStableOffset: bigint;
  readonly logStartOffset: bigint;
  /** Of the returned range, as the broker lists them; empty under read_uncommitted. */
  readonly abortedTransactions: readonly AbortedTransaction[];
  /** Whole batches and perhaps a part of one at the end; the first may begin before the offset. */
  readonly records: Buffer;
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  /** Offset of the transaction's first record. */
  readonly firstOffset: bigint;
}

export interface ProduceRequest extends TopicPartition {
  readonly batch: Buffer;
  readonly timeoutMs: number;
}

export interface ProduceAnswer {
  /** Kafka's error code, 0 for none. */
  readonly errorCode: number;
  /** Kafka's error name, e.g. `NONE`, `OUT_OF_ORDER_SEQUENCE_NUMBER`, `MESSAGE_TOO_LARGE`. */
  readonly error: string;
  /** The broker's message, and the failing record where it names one (KIP-467). */
  readonly errorMessage: string | undefined;
  /** Offset of the batch's first record; -1 with an error. */
  readonly baseOffset: bigint;
  readonly logStartOffset: bigint;
}

export interface CommittedOffsets {
  readonly groups: readonly {
    readonly group: string;
    readonly offsets: readonly (TopicPartition & {
      readonly offset: bigint;
      readonly leaderEpoch: number;
      readonly metadata: string;
    })[];
  }[];
  readonly failed: readonly {
    readonly group: string;
    readonly reason: string;
    readonly error: Error;
  }[];
  /**
   * False when all groups were asked for and the credentials lack Describe on the cluster: Kafka
   * then leaves out groups that they may not describe, without a word (KIP-430).
   */
  readonly complete: boolean;
}

export interface GroupDescription {
  readonly group: string;
  /** KIP-848. `unknown` where the brokers are too old to say, and for a group that does not exist. */
  readonly type: "classic" | "consumer" | "unknown";
  /** Kafka's word: `Empty`, `Stable`, …; `Dead` for a group that does not exist. */
  readonly state: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly clientId: string;
    readonly host: string;
  }[];
}

export interface GroupOperations {
  readonly group: string;
  readonly operations: readonly string[] | undefined;
}

/** Also of share and Streams (KIP-1071) groups, which are not supported. */
export interface GroupFailure {
  readonly group: string;
  readonly error: Error;
}

export interface NewOffset extends TopicPartition {
  readonly offset: bigint;
  /** -1 for none. */
  readonly leaderEpoch: number;
  readonly metadata: string;
}

export interface OffsetResult extends TopicPartition {
  /** Undefined when it was done; GroupNotEmptyError where the group has members. */
  readonly error: Error | undefined;
}

export interface OpenTransaction {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** First offset of the open transaction. */
  readonly startOffset: bigint;
  /** When the producer last wrote, Unix milliseconds by its records' time. */
  readonly lastTimestampMs: bigint;
}
