/**
 * Kafka's error codes (https://kafka.apache.org/protocol#protocol_error_codes) and what they mean
 * to us.
 */
import { BackupError, type ErrorName, type ErrorOptions } from "#core/errors.ts";

type Row = readonly [code: number, name: string, retriable?: "retriable"];

/** As of Apache Kafka 4.2. */
const rows: readonly Row[] = [
  [-1, "UNKNOWN_SERVER_ERROR"],
  [0, "NONE"],
  [1, "OFFSET_OUT_OF_RANGE"],
  [2, "CORRUPT_MESSAGE", "retriable"],
  [3, "UNKNOWN_TOPIC_OR_PARTITION", "retriable"],
  [4, "INVALID_FETCH_SIZE"],
  [5, "LEADER_NOT_AVAILABLE", "retriable"],
  [6, "NOT_LEADER_OR_FOLLOWER", "retriable"],
  [7, "REQUEST_TIMED_OUT", "retriable"],
  [8, "BROKER_NOT_AVAILABLE"],
  [9, "REPLICA_NOT_AVAILABLE", "retriable"],
  [10, "MESSAGE_TOO_LARGE"],
  [11, "STALE_CONTROLLER_EPOCH"],
  [12, "OFFSET_METADATA_TOO_LARGE"],
  [13, "NETWORK_EXCEPTION", "retriable"],
  [14, "COORDINATOR_LOAD_IN_PROGRESS", "retriable"],
  [15, "COORDINATOR_NOT_AVAILABLE", "retriable"],
  [16, "NOT_COORDINATOR", "retriable"],
  [17, "INVALID_TOPIC_EXCEPTION"],
  [18, "RECORD_LIST_TOO_LARGE"],
  [19, "NOT_ENOUGH_REPLICAS", "retriable"],
  [20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "retriable"],
  [21, "INVALID_REQUIRED_ACKS"],
  [22, "ILLEGAL_GENERATION"],
  [23, "INCONSISTENT_GROUP_PROTOCOL"],
  [24, "INVALID_GROUP_ID"],
  [25, "UNKNOWN_MEMBER_ID"],
  [26, "INVALID_SESSION_TIMEOUT"],
  [27, "REBALANCE_IN_PROGRESS"],
  [28, "INVALID_COMMIT_OFFSET_SIZE"],
  [29, "TOPIC_AUTHORIZATION_FAILED"],
  [30, "GROUP_AUTHORIZATION_FAILED"],
  [31, "CLUSTER_AUTHORIZATION_FAILED"],
  [32, "INVALID_TIMESTAMP"],
  [33, "UNSUPPORTED_SASL_MECHANISM"],
  [34, "ILLEGAL_SASL_STATE"],
  [35, "UNSUPPORTED_VERSION"],
  [36, "TOPIC_ALREADY_EXISTS"],
  [37, "INVALID_PARTITIONS"],
  [38, "INVALID_REPLICATION_FACTOR"],
  [39, "INVALID_REPLICA_ASSIGNMENT"],
  [40, "INVALID_CONFIG"],
  [41, "NOT_CONTROLLER", "retriable"],
  [42, "INVALID_REQUEST"],
  [43, "UNSUPPORTED_FOR_MESSAGE_FORMAT"],
  [44, "POLICY_VIOLATION"],
  [45, "OUT_OF_ORDER_SEQUENCE_NUMBER"],
  [46, "DUPLICATE_SEQUENCE_NUMBER"],
  [47, "INVALID_PRODUCER_EPOCH"],
  [48, "INVALID_TXN_STATE"],
  [49, "INVALID_PRODUCER_ID_MAPPING"],
  [50, "INVALID_TRANSACTION_TIMEOUT"],
  [51, "CONCURRENT_TRANSACTIONS", "retriable"],
  [52, "TRANSACTION_COORDINATOR_FENCED"],
  [53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"],
  [54, "SECURITY_DISABLED"],
  [55, "OPERATION_NOT_ATTEMPTED"],
  [56, "KAFKA_STORAGE_ERROR", "retriable"],
  [57, "LOG_DIR_NOT_FOUND"],
  [58, "SASL_AUTHENTICATION_FAILED"],
  [59, "UNKNOWN_PRODUCER_ID"],
  [60, "REASSIGNMENT_IN_PROGRESS"],
  [61, "DELEGATION_TOKEN_AUTH_DISABLED"],
  [62, "DELEGATION_TOKEN_NOT_FOUND"],
  [63, "DELEGATION_TOKEN_OWNER_MISMATCH"],
  [64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED"],
  [65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED"],
  [66, "DELEGATION_TOKEN_EXPIRED"],
  [67, "INVALID_PRINCIPAL_TYPE"],
  [68, "NON_EMPTY_GROUP"],
  [69, "GROUP_ID_NOT_FOUND"],
  [70, "FETCH_SESSION_ID_NOT_FOUND", "retriable"],
  [71, "INVALID_FETCH_SESSION_EPOCH", "retriable"],
  [72, "LISTENER_NOT_FOUND", "retriable"],
  [73, "TOPIC_DELETION_DISABLED"],
  [74, "FENCED_LEADER_EPOCH", "retriable"],
  [75, "UNKNOWN_LEADER_EPOCH", "retriable"],
  [76, "UNSUPPORTED_COMPRESSION_TYPE"],
  [77, "STALE_BROKER_EPOCH"],
  [78, "OFFSET_NOT_AVAILABLE", "retriable"],
  [79, "MEMBER_ID_REQUIRED"],
  [80, "PREFERRED_LEADER_NOT_AVAILABLE", "retriable"],
  [81, "GROUP_MAX_SIZE_REACHED"],
  [82, "FENCED_INSTANCE_ID"],
  [83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", "retriable"],
  [84, "ELECTION_NOT_NEEDED", "retriable"],
  [85, "NO_REASSIGNMENT_IN_PROGRESS"],
  [86, "GROUP_SUBSCRIBED_TO_TOPIC"],
  [87, "INVALID_RECORD"],
  [88, "UNSTABLE_OFFSET_COMMIT", "retriable"],
  [89, "THROTTLING_QUOTA_EXCEEDED", "retriable"],
  [90, "PRODUCER_FENCED"],
  [91, "RESOURCE_NOT_FOUND"],
  [92, "DUPLICATE_RESOURCE"],
  [93, "UNACCEPTABLE_CREDENTIAL"],
  [94, "INCONSISTENT_VOTER_SET"],
  [95, "INVALID_UPDATE_VERSION"],
  [96, "FEATURE_UPDATE_FAILED"],
  [97, "PRINCIPAL_DESERIALIZATION_FAILURE"],
  [98, "SNAPSHOT_NOT_FOUND"],
  [99, "POSITION_OUT_OF_RANGE"],
  [100, "UNKNOWN_TOPIC_ID", "retriable"],
  [101, "DUPLICATE_BROKER_REGISTRATION"],
  [102, "BROKER_ID_NOT_REGISTERED"],
  [103, "INCONSISTENT_TOPIC_ID", "retriable"],
  [104, "INCONSISTENT_CLUSTER_ID"],
  [105, "TRANSACTIONAL_ID_NOT_FOUND"],
  [106, "FETCH_SESSION_TOPIC_ID_ERROR", "retriable"],
  [107, "INELIGIBLE_REPLICA"],
  [108, "NEW_LEADER_ELECTED"],
  [109, "OFFSET_MOVED_TO_TIERED_STORAGE"],
  [110, "FENCED_MEMBER_EPOCH"],
  [111, "UNRELEASED_INSTANCE_ID"],
  [112, "UNSUPPORTED_ASSIGNOR"],
  [113, "STALE_MEMBER_EPOCH"],
  [114, "MISMATCHED_ENDPOINT_TYPE"],
  [115, "UNSUPPORTED_ENDPOINT_TYPE"],
  [116, "UNKNOWN_CONTROLLER_ID"],
  [117, "UNKNOWN_SUBSCRIPTION_ID"],
  [118, "TELEMETRY_TOO_LARGE"],
  [119, "INVALID_REGISTRATION"],
  [120, "TRANSACTION_ABORTABLE"],
  [121, "INVALID_RECORD_STATE"],
  [122, "SHARE_SESSION_NOT_FOUND", "retriable"],
  [123, "INVALID_SHARE_SESSION_EPOCH", "retriable"],
  [124, "FENCED_STATE_EPOCH"],
  [125, "INVALID_VOTER_KEY"],
  [126, "DUPLICATE_VOTER"],
  [127, "VOTER_NOT_FOUND"],
  [128, "INVALID_REGULAR_EXPRESSION"],
  [129, "REBOOTSTRAP_REQUIRED"],
  [130, "STREAMS_INVALID_TOPOLOGY"],
  [131, "STREAMS_INVALID_TOPOLOGY_EPOCH"],
  [132, "STREAMS_TOPOLOGY_FENCED"],
  [133, "SHARE_SESSION_LIMIT_REACHED", "retriable"],
];

const byCode = new Map(rows.map((row) => [row[0], row]));

/** Kafka's name of an error code; `UNKNOWN_ERROR_n` for one newer than the table. */
export function kafkaErrorName(code: number): string {
  return byCode.get(code)?.[1] ?? `UNKNOWN_ERROR_${code}`;
}

/** Errors with a name of their own in our table. */
const translations: Readonly<Record<string, ErrorName>> = {
  OFFSET_OUT_OF_RANGE: "OffsetOutOfRangeError",
  CORRUPT_MESSAGE: "CorruptRecordBatchError",
  UNKNOWN_TOPIC_OR_PARTITION: "TopicNotFoundError",
  UNKNOWN_TOPIC_ID: "TopicChangedError",
  INCONSISTENT_TOPIC_ID: "TopicChangedError",
  FENCED_LEADER_EPOCH: "TopicChangedError",
  UNKNOWN_LEADER_EPOCH: "TopicChangedError",
  TOPIC_AUTHORIZATION_FAILED: "AccessDeniedError",
  GROUP_AUTHORIZATION_FAILED: "AccessDeniedError",
  CLUSTER_AUTHORIZATION_FAILED: "AccessDeniedError",
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "AccessDeniedError",
  DELEGATION_TOKEN_AUTHORIZATION_FAILED: "AccessDeniedError",
  SASL_AUTHENTICATION_FAILED: "AccessDeniedError",
  UNSUPPORTED_SASL_MECHANISM: "AccessDeniedError",
  ILLEGAL_SASL_STATE: "AccessDeniedError",
  // The broker's own faults, which Kafka does not call retriable.
  UNKNOWN_SERVER_ERROR: "BrokerUnavailableError",
  BROKER_NOT_AVAILABLE: "BrokerUnavailableError",
};

/** Whether Kafka's own clients repeat after this error. */
export function isRetriableCode(code: number): boolean {
  return byCode.get(code)?.[2] === "retriable";
}

export interface KafkaFailure {
  readonly code: number;
  /** What was asked and where: `Fetch orders-3 at offset 17`. */
  readonly what: string;
  /** The broker's own words. */
  readonly message?: string | null | undefined;
  /** The right that the request needs, for a denied one: `Read on topic orders`. */
  readonly needs?: string | undefined;
  readonly details?: ErrorOptions["details"];
}

/**
 * Translates an error code. What Kafka calls retriable becomes BrokerUnavailableError, what it
 * calls invalid InvalidRequestError; `details.kafka_error` is Kafka's name.
 */
export function kafkaError(failure: KafkaFailure): BackupError {
  const kafkaName = kafkaErrorName(failure.code);
  const name =
    translations[kafkaName] ??
    (isRetriableCode(failure.code) ? "BrokerUnavailableError" : "InvalidRequestError");
  const lacks =
    name === "AccessDeniedError" && failure.needs !== undefined
      ? `; the credentials lack ${failure.needs}`
      : "";
  const said = failure.message ? ` (${failure.message})` : "";
  return new BackupError(name, `${failure.what}: ${kafkaName}${said}${lacks}`, {
    details: { ...failure.details, kafka_error: kafkaName },
  });
}
