import type { Api } from "#core/kafka/protocol/wire.ts";

/**
 * A broker lists the groups that it coordinates.
 *
 *   ListGroups Request (Version: 4) => [states_filter] TAG_BUFFER
 *     states_filter => COMPACT_STRING     (empty for all)
 *
 *   ListGroups Response (Version: 4) => throttle_time_ms error_code [groups] TAG_BUFFER
 *     throttle_time_ms => INT32
 *     error_code => INT16
 *     groups => group_id protocol_type group_state TAG_BUFFER
 *       group_id => COMPACT_STRING
 *       protocol_type => COMPACT_STRING
 *       group_state => COMPACT_STRING
 */
export const listGroups: Api<
  undefined,
  {
    readonly throttleTimeMs: number;
    readonly errorCode: number;
    /** `protocolType` is `consumer`, `share`, `streams`, `connect`, or empty. */
    readonly groups: readonly { readonly group: string; readonly protocolType: string }[];
  }
> = {
  name: "ListGroups",
  key: 16,
  version: 4,
  flexible: true,
  encode(_request, writer) {
    writer.compactArray([], () => {}).noTaggedFields();
  },
  decode(reader) {
    const throttleTimeMs = reader.int32();
    const errorCode = reader.int16();
    const groups = reader.compactArray(() => {
      const group = { group: reader.compactString(), protocolType: reader.compactString() };
      reader.compactString();
      reader.taggedFields();
      return group;
    });
    reader.taggedFields();
    return { throttleTimeMs, errorCode, groups };
  },
};
