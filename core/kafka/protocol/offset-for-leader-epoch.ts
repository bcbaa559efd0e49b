import type { Api } from "#core/kafka/protocol/wire.ts";

export interface OffsetForLeaderEpochRequest {
  readonly topic: string;
  readonly partition: number;
  /** Checked by the broker; -1 for no check. */
  readonly currentLeaderEpoch: number;
  readonly leaderEpoch: number;
}

export interface OffsetForLeaderEpochResponse {
  readonly throttleTimeMs: number;
  readonly errorCode: number;
  readonly leaderEpoch: number;
  readonly endOffset: bigint;
}

/**
 * One partition a request is all that we need.
 *
 *   OffsetForLeaderEpoch Request (Version: 3) => replica_id [topics]
 *     replica_id => INT32
 *     topics => topic [partitions]
 *       topic => STRING
 *       partitions => partition current_leader_epoch leader_epoch
 *         partition => INT32
 *         current_leader_epoch => INT32
 *         leader_epoch => INT32
 *
 *   OffsetForLeaderEpoch Response (Version: 3) => throttle_time_ms [topics]
 *     throttle_time_ms => INT32
 *     topics => topic [partitions]
 *       topic => STRING
 *       partitions => error_code partition leader_epoch end_offset
 *         error_code => INT16
 *         partition => INT32
 *         leader_epoch => INT32
 *         end_offset => INT64
 */
export const offsetForLeaderEpoch: Api<OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse> =
  {
    name: "OffsetForLeaderEpoch",
    key: 23,
    version: 3,
    flexible: false,
    encode({ topic, partition, currentLeaderEpoch, leaderEpoch }, writer) {
      writer.int32(-1).array([topic], (name) => {
        writer.string(name).array([partition], (index) => {
          writer.int32(index).int32(currentLeaderEpoch).int32(leaderEpoch);
        });
      });
    },
    decode(reader) {
      const throttleTimeMs = reader.int32();
      const topics = reader.array(() => {
        reader.string();
        return reader.array(() => {
          const errorCode = reader.int16();
          reader.int32();
          return { errorCode, leaderEpoch: reader.int32(), endOffset: reader.int64() };
        });
      });
      const [answer] = topics.flat();
      if (answer === undefined) throw new RangeError("an answer without a partition");
      return { throttleTimeMs, ...answer };
    },
  };
