import { aclOperations } from "#core/kafka/protocol/acl-operations.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

// By their numbers in org.apache.kafka.common.resource and .acl.AclPermissionType; 1 stands for
// any in a filter.
const any = 1;
const resourceTypes = [
  ...["UNKNOWN", "ANY", "TOPIC", "GROUP", "CLUSTER", "TRANSACTIONAL_ID"],
  ...["DELEGATION_TOKEN", "USER"],
];
const patternTypes = ["UNKNOWN", "ANY", "MATCH", "LITERAL", "PREFIXED"];
const permissionTypes = ["UNKNOWN", "ANY", "DENY", "ALLOW"];

/** The name where this version knows the number, else the number itself. */
function nameOf(names: readonly string[], number: number): string {
  return names[number] ?? String(number);
}

export interface DescribeAclsResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly bindings: Record<string, string>[];
}

/**
 *   DescribeAcls Request (Version: 1) => resource_type_filter resource_name_filter
 *       pattern_type_filter principal_filter host_filter operation permission_type
 *     resource_type_filter, pattern_type_filter, operation, permission_type => INT8
 *     resource_name_filter, principal_filter, host_filter => NULLABLE_STRING
 *
 *   DescribeAcls Response (Version: 1) => throttle_time_ms error_code error_message [resources]
 *     throttle_time_ms => INT32
 *     error_code => INT16
 *     error_message => NULLABLE_STRING
 *     resources => resource_type resource_name pattern_type [acls]
 *       resource_type => INT8
 *       resource_name => STRING
 *       pattern_type => INT8
 *       acls => principal host operation permission_type
 *         principal, host => STRING
 *         operation, permission_type => INT8
 */
export const describeAcls: Api<undefined, DescribeAclsResponse> = {
  name: "DescribeAcls",
  key: 29,
  version: 1,
  flexible: false,
  encode(_request, writer) {
    writer.int8(any).nullableString(null).int8(any);
    writer.nullableString(null).nullableString(null).int8(any).int8(any);
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const errorCode = reader.int16();
    const errorMessage = reader.nullableString();
    const resources = reader.array(() => {
      const resource = {
        resource_type: nameOf(resourceTypes, reader.int8()),
        resource_name: reader.string(),
        pattern_type: nameOf(patternTypes, reader.int8()),
      };
      return reader.array(() => ({
        ...resource,
        principal: reader.string(),
        host: reader.string(),
        operation: nameOf(aclOperations, reader.int8()),
        permission: nameOf(permissionTypes, reader.int8()),
      }));
    });
    return { throttleTimeMs, errorCode, errorMessage, bindings: resources.flat() };
  },
};
