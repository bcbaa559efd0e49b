import { operationsIn } from "#core/kafka/protocol/acl-operations.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

export interface DescribedGroup {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly state: string;
  readonly members: readonly {
    readonly memberId: string;
    readonly clientId: string;
    readonly host: string;
  }[];
  /** What the credentials may do on the group (KIP-430), where they were asked for. */
  readonly authorizedOperations?: readonly string[] | undefined;
}

export interface DescribeGroupsRequest {
  readonly group: string;
  readonly withAuthorizedOperations?: boolean;
}

/**
 * Knows classic groups alone: any other group is `Dead` without members here, as one that does not
 * exist.
 *
 *   DescribeGroups Request (Version: 4) => [groups] include_authorized_operations
 *     groups => STRING
 *     include_authorized_operations => BOOLEAN
 *
 *   DescribeGroups Response (Version: 4) => throttle_time_ms [groups]
 *     throttle_time_ms => INT32
 *     groups => error_code group_id group_state protocol_type protocol_data [members]
 *         authorized_operations
 *       error_code => INT16
 *       group_id, group_state, protocol_type, protocol_data => STRING
 *       members => member_id group_instance_id client_id client_host member_metadata
 *           member_assignment
 *         member_id => STRING
 *         group_instance_id => NULLABLE_STRING
 *         client_id, client_host => STRING
 *         member_metadata, member_assignment => BYTES
 *       authorized_operations => INT32
 */
export const describeGroups: Api<DescribeGroupsRequest, DescribedGroup> = {
  name: "DescribeGroups",
  key: 15,
  version: 4,
  flexible: false,
  encode({ group, withAuthorizedOperations }, writer) {
    writer.array([group], (name) => writer.string(name)).boolean(withAuthorizedOperations ?? false);
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const groups = reader.array(() => {
      const errorCode = reader.int16();
      reader.string();
      const state = reader.string();
      reader.string();
      reader.string();
      const members = reader.array(() => {
        const memberId = reader.string();
        reader.nullableString();
        const member = { memberId, clientId: reader.string(), host: reader.string() };
        reader.records();
        reader.records();
        return member;
      });
      const authorizedOperations = operationsIn(reader.int32());
      return { errorCode, errorMessage: null, state, members, authorizedOperations };
    });
    if (groups[0] === undefined) throw new RangeError("an answer without a group");
    return { throttleTimeMs, ...groups[0] };
  },
};
