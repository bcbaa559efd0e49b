import { operationsIn } from "#core/kafka/protocol/acl-operations.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface MetadataRequest {
  /** null for all that the credentials may see. */
  readonly topics: readonly string[] | null;
  readonly withAuthorizedOperations?: boolean;
}

export interface MetadataNode {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}

export interface MetadataPartition {
  readonly errorCode: number;
  readonly partition: number;
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
}

export interface MetadataTopic {
  readonly errorCode: number;
  readonly name: string;
  readonly topicId: string;
  readonly internal: boolean;
  /** What the credentials may do, where the request asked for it. */
  readonly authorizedOperations: readonly string[] | undefined;
  readonly partitions: readonly MetadataPartition[];
}

export interface MetadataResponse {
  readonly throttleTimeMs: number;
  readonly nodes: readonly MetadataNode[];
  readonly clusterId: string | null;
  readonly controllerId: number;
  readonly topics: readonly MetadataTopic[];
}

/**
 * Version 11 is the first that every broker with topic ids (KIP-516, Kafka 2.8) knows.
 *
 *   Metadata Request (Version: 11) =>
 *       [topics] allow_auto_topic_creation include_topic_authorized_operations TAG_BUFFER
 *     topics => topic_id name TAG_BUFFER           (null for all topics)
 *       topic_id => UUID
 *       name => COMPACT_NULLABLE_STRING
 *     allow_auto_topic_creation => BOOLEAN
 *     include_topic_authorized_operations => BOOLEAN
 *
 *   Metadata Response (Version: 11) =>
 *       throttle_time_ms [brokers] cluster_id controller_id [topics] TAG_BUFFER
 *     throttle_time_ms => INT32
 *     brokers => node_id host port rack TAG_BUFFER
 *       node_id => INT32
 *       host => COMPACT_STRING
 *       port => INT32
 *       rack => COMPACT_NULLABLE_STRING
 *     cluster_id => COMPACT_NULLABLE_STRING
 *     controller_id => INT32
 *     topics => error_code name topic_id is_internal [partitions] topic_authorized_operations
 *         TAG_BUFFER
 *       error_code => INT16
 *       name => COMPACT_STRING
 *       topic_id => UUID
 *       is_internal => BOOLEAN
 *       partitions => error_code partition_index leader_id leader_epoch [replica_nodes]
 *           [isr_nodes] [offline_replicas] TAG_BUFFER
 *         error_code => INT16
 *         partition_index, leader_id, leader_epoch => INT32
 *         replica_nodes, isr_nodes, offline_replicas => INT32
 *       topic_authorized_operations => INT32
 */
export const metadata: Api<MetadataRequest, MetadataResponse> = {
  name: "Metadata",
  key: 3,
  version: 11,
  flexible: true,
  encode({ topics, withAuthorizedOperations }, writer) {
    if (topics === null) writer.compactNullArray();
    else {
      writer.compactArray(topics, (name) => {
        writer.zeroUuid().compactString(name).noTaggedFields();
      });
    }
    writer
      .boolean(false)
      .boolean(withAuthorizedOperations ?? false)
      .noTaggedFields();
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const nodes = reader.compactArray(() => {
      const node = { nodeId: reader.int32(), host: reader.compactString(), port: reader.int32() };
      reader.compactNullableString();
      reader.taggedFields();
      return node;
    });
    const clusterId = reader.compactNullableString();
    const controllerId = reader.int32();
    const topics = reader.compactArray(() => {
      const errorCode = reader.int16();
      const name = reader.compactString();
      const topicId = reader.uuid();
      const internal = reader.boolean();
      const partitions = reader.compactArray(() => {
        const partition = {
          errorCode: reader.int16(),
          partition: reader.int32(),
          leader: reader.int32(),
          leaderEpoch: reader.int32(),
          replicas: reader.compactArray(() => reader.int32()),
          inSyncReplicas: reader.compactArray(() => reader.int32()),
        };
        reader.compactArray(() => reader.int32());
        reader.taggedFields();
        return partition;
      });
      const authorizedOperations = operationsIn(reader.int32());
      reader.taggedFields();
      return { errorCode, name, topicId, internal, authorizedOperations, partitions };
    });
    reader.taggedFields();
    return { throttleTimeMs, nodes, clusterId, controllerId, topics };
  },
};
