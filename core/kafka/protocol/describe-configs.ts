import type { TopicSetting } from "#core/kafka/cluster.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

/** ResourceType of Kafka's configuration requests. */
export const topicResource = 2;
/** ConfigSource DYNAMIC_TOPIC_CONFIG: set on the topic itself. */
const dynamicTopicConfig = 1;

export interface DescribeConfigsResponse {
  readonly throttleTimeMs: number;
  readonly results: readonly {
    readonly errorCode: number;
    readonly errorMessage: string | null;
    readonly topic: string;
    readonly settings: TopicSetting[];
  }[];
}

/**
 *   DescribeConfigs Request (Version: 2) => [resources] include_synonyms
 *     resources => resource_type resource_name [configuration_keys]
 *       resource_type => INT8
 *       resource_name => STRING
 *       configuration_keys => STRING     (null for all)
 *     include_synonyms => BOOLEAN
 *
 *   DescribeConfigs Response (Version: 2) => throttle_time_ms [results]
 *     throttle_time_ms => INT32
 *     results => error_code error_message resource_type resource_name [configs]
 *       error_code => INT16
 *       error_message => NULLABLE_STRING
 *       resource_type => INT8
 *       resource_name => STRING
 *       configs => name value read_only config_source is_sensitive [synonyms]
 *         name => STRING
 *         value => NULLABLE_STRING
 *         read_only => BOOLEAN
 *         config_source => INT8
 *         is_sensitive => BOOLEAN
 *         synonyms => name value source
 *           name => STRING
 *           value => NULLABLE_STRING
 *           source => INT8
 */
export const describeConfigs: Api<{ readonly topics: readonly string[] }, DescribeConfigsResponse> =
  {
    name: "DescribeConfigs",
    key: 32,
    version: 2,
    flexible: false,
    encode({ topics }, writer) {
      writer.array(topics, (topic) => {
        writer.int8(topicResource).string(topic).nullArray();
      });
      writer.boolean(false);
    },
    decode(reader) {
      const throttleTimeMs = reader.int32();
      const results = reader.array(() => {
        const errorCode = reader.int16();
        const errorMessage = reader.nullableString();
        reader.int8();
        const topic = reader.string();
        const settings = reader.array(() => {
          const name = reader.string();
          const value = reader.nullableString();
          const readOnly = reader.boolean();
          const ofTopic = reader.int8() === dynamicTopicConfig;
          const sensitive = reader.boolean();
          reader.array(() => [reader.string(), reader.nullableString(), reader.int8()]);
          return { name, value: sensitive ? null : value, ofTopic, readOnly };
        });
        return { errorCode, errorMessage, topic, settings };
      });
      return { throttleTimeMs, results };
    },
  };
