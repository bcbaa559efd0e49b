import { operationsIn } from "#core/kafka/protocol/acl-operations.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface DescribeClusterResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
  /** What the credentials may do on the cluster (KIP-430); none without Describe. */
  readonly authorizedOperations: readonly string[] | undefined;
}

/**
 * Asked for what the credentials may do: Metadata no longer says it in the versions that know topic
 * ids (KIP-700).
 *
 *   DescribeCluster Request (Version: 0) => include_cluster_authorized_operations TAG_BUFFER
 *     include_cluster_authorized_operations => BOOLEAN
 *
 *   DescribeCluster Response (Version: 0) => throttle_time_ms error_code error_message cluster_id
 *       controller_id [brokers] cluster_authorized_operations TAG_BUFFER
 *     throttle_time_ms => INT32
 *     error_code => INT16
 *     error_message => COMPACT_NULLABLE_STRING
 *     cluster_id => COMPACT_STRING
 *     controller_id => INT32
 *     brokers => broker_id host port rack TAG_BUFFER
 *       broker_id => INT32
 *       host => COMPACT_STRING
 *       port => INT32
 *       rack => COMPACT_NULLABLE_STRING
 *     cluster_authorized_operations => INT32
 */
export const describeCluster: Api<undefined, DescribeClusterResponse> = {
  name: "DescribeCluster",
  key: 60,
  version: 0,
  flexible: true,
  encode(_request, writer) {
    writer.boolean(true).noTaggedFields();
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const errorCode = reader.int16();
    const errorMessage = reader.compactNullableString();
    reader.compactString();
    reader.int32();
    reader.compactArray(() => {
      reader.int32();
      reader.compactString();
      reader.int32();
      reader.compactNullableString();
      reader.taggedFields();
    });
    const authorizedOperations = operationsIn(reader.int32());
    reader.taggedFields();
    return { throttleTimeMs, errorCode, errorMessage, authorizedOperations };
  },
};
