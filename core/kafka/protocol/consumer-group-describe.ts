import type { DescribedGroup } from "#core/kafka/protocol/describe-groups.ts";
import type { Api, WireReader } from "#core/kafka/protocol/wire.ts";

/**
 * Knows groups of the consumer protocol (KIP-848) alone; Kafka 3.7 and later.
 *
 *   ConsumerGroupDescribe Request (Version: 0) =>
 *       [group_ids] include_authorized_operations TAG_BUFFER
 *     group_ids => COMPACT_STRING
 *     include_authorized_operations => BOOLEAN
 *
 *   ConsumerGroupDescribe Response (Version: 0) => throttle_time_ms [groups] TAG_BUFFER
 *     throttle_time_ms => INT32
 *     groups => error_code error_message group_id group_state group_epoch assignment_epoch
 *         assignor_name [members] authorized_operations TAG_BUFFER
 *       error_code => INT16
 *       error_message => COMPACT_NULLABLE_STRING
 *       group_id, group_state => COMPACT_STRING
 *       group_epoch, assignment_epoch => INT32
 *       assignor_name => COMPACT_STRING
 *       members => member_id instance_id rack_id member_epoch client_id client_host
 *           [subscribed_topic_names] subscribed_topic_regex assignment target_assignment TAG_BUFFER
 *         member_id => COMPACT_STRING
 *         instance_id, rack_id => COMPACT_NULLABLE_STRING
 *         member_epoch => INT32
 *         client_id, client_host => COMPACT_STRING
 *         subscribed_topic_names => COMPACT_STRING
 *         subscribed_topic_regex => COMPACT_NULLABLE_STRING
 *         assignment, target_assignment => [topic_partitions] TAG_BUFFER
 *           topic_partitions => topic_id topic_name [partitions] TAG_BUFFER
 *             topic_id => UUID
 *             topic_name => COMPACT_STRING
 *             partitions => INT32
 *       authorized_operations => INT32
 */
export const consumerGroupDescribe: Api<{ readonly group: string }, DescribedGroup> = {
  name: "ConsumerGroupDescribe",
  key: 69,
  version: 0,
  flexible: true,
  encode({ group }, writer) {
    writer.compactArray([group], (name) => writer.compactString(name));
    writer.boolean(false).noTaggedFields();
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const groups = reader.compactArray(() => {
      const errorCode = reader.int16();
      const errorMessage = reader.compactNullableString();
      reader.compactString();
      const state = reader.compactString();
      reader.int32();
      reader.int32();
      reader.compactString();
      const members = reader.compactArray(() => memberOf(reader));
      reader.int32();
      reader.taggedFields();
      return { errorCode, errorMessage, state, members };
    });
    reader.taggedFields();
    if (groups[0] === undefined) throw new RangeError("an answer without a group");
    return { throttleTimeMs, ...groups[0] };
  },
};

function memberOf(reader: WireReader): DescribedGroup["members"][number] {
  const memberId = reader.compactString();
  reader.compactNullableString();
  reader.compactNullableString();
  reader.int32();
  const member = { memberId, clientId: reader.compactString(), host: reader.compactString() };
  reader.compactArray(() => reader.compactString());
  reader.compactNullableString();
  passAssignment(reader);
  passAssignment(reader);
  reader.taggedFields();
  return member;
}

function passAssignment(reader: WireReader): void {
  reader.compactArray(() => {
    reader.uuid();
    reader.compactString();
    reader.compactArray(() => reader.int32());
    reader.taggedFields();
  });
  reader.taggedFields();
}
