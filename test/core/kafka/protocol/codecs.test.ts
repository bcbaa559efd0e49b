import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { apiVersions } from "#core/kafka/protocol/api-versions.ts";
import { consumerGroupDescribe } from "#core/kafka/protocol/consumer-group-describe.ts";
import { createTopics } from "#core/kafka/protocol/create-topics.ts";
import { describeAcls } from "#core/kafka/protocol/describe-acls.ts";
import { describeCluster } from "#core/kafka/protocol/describe-cluster.ts";
import { describeConfigs } from "#core/kafka/protocol/describe-configs.ts";
import { describeGroups } from "#core/kafka/protocol/describe-groups.ts";
import { describeLogDirs } from "#core/kafka/protocol/describe-log-dirs.ts";
import { describeProducers } from "#core/kafka/protocol/describe-producers.ts";
import { fetch } from "#core/kafka/protocol/fetch.ts";
import { findCoordinator } from "#core/kafka/protocol/find-coordinator.ts";
import { incrementalAlterConfigs } from "#core/kafka/protocol/incremental-alter-configs.ts";
import { initProducerId } from "#core/kafka/protocol/init-producer-id.ts";
import { listGroups } from "#core/kafka/protocol/list-groups.ts";
import { listOffsets } from "#core/kafka/protocol/list-offsets.ts";
import { metadata } from "#core/kafka/protocol/metadata.ts";
import { offsetCommit } from "#core/kafka/protocol/offset-commit.ts";
import { offsetDelete } from "#core/kafka/protocol/offset-delete.ts";
import { offsetFetch } from "#core/kafka/protocol/offset-fetch.ts";
import { offsetForLeaderEpoch } from "#core/kafka/protocol/offset-for-leader-epoch.ts";
import { produce } from "#core/kafka/protocol/produce.ts";
import { type Api, WireReader, WireWriter } from "#core/kafka/protocol/wire.ts";

/** Written by Kafka's own classes: test/support/java/PrintProtocolMessages.java. */
const messages: Record<string, string> = JSON.parse(
  readFileSync("test/fixtures/protocol/kafka-4.2.0.json", "utf8"),
);

type AnyApi<Request> = Api<Request, { readonly throttleTimeMs: number }>;

function encoded<Request>(api: AnyApi<Request>, request: Request): string {
  const writer = new WireWriter();
  api.encode(request, writer);
  expect(writer.size).toBe(Buffer.concat(writer.buffers()).length);
  return Buffer.concat(writer.buffers()).toString("hex");
}

const bytesOf = (name: string) => Buffer.from(messages[name] ?? expect.fail(`no ${name}`), "hex");

const large = 2n ** 40n;
const at = { topic: "orders", partition: 5 };
const records = Buffer.from([1, 2, 3, 4, 5]);

describe("requests are written as Kafka writes them", () => {
  const check = <Request>(name: string, api: AnyApi<Request>, request: Request) =>
    test(name, () => expect(encoded(api, request)).toBe(messages[name]));

  check("Metadata request", metadata, { topics: ["orders"], withAuthorizedOperations: true });
  check("Metadata request for all", metadata, { topics: null });
  const config = { "retention.ms": "-1" };
  const topic = { topic: "orders", partitionCount: 3, replicationFactor: 2, config };
  check("CreateTopics request", createTopics, {
    topics: [topic],
    timeoutMs: 30_000,
    validateOnly: true,
  });
  check("DescribeConfigs request", describeConfigs, { topics: ["orders"] });
  check("IncrementalAlterConfigs request", incrementalAlterConfigs, {
    topic: "orders",
    changes: [
      { name: "a", set: "1" },
      { name: "b", delete: true },
    ],
    validateOnly: true,
  });
  check("ListOffsets request", listOffsets, {
    isolation: "read_committed",
    timestamp: -2n,
    topics: [{ topic: "orders", partitions: [5] }],
  });
  check("OffsetForLeaderEpoch request", offsetForLeaderEpoch, {
    ...at,
    currentLeaderEpoch: 7,
    leaderEpoch: 6,
  });
  check("Fetch request", fetch, {
    ...at,
    fetchOffset: large,
    currentLeaderEpoch: 7,
    maxBytes: 1000,
    maxWaitMs: 500,
    minBytes: 1,
    isolation: "read_committed",
  });
  check("Produce request", produce, { ...at, batch: records, timeoutMs: 1000 });
  check("InitProducerId request", initProducerId, undefined);
  check("DescribeProducers request", describeProducers, at);
  check("ListGroups request", listGroups, undefined);
  check("OffsetFetch request", offsetFetch, { group: "billing" });
  check("FindCoordinator request", findCoordinator, { group: "billing" });
  check("DescribeAcls request", describeAcls, undefined);
  const committed = { partition: 5, offset: large, leaderEpoch: 7, metadata: "note" };
  check("OffsetCommit request", offsetCommit, {
    group: "billing",
    topics: [{ topic: "orders", partitions: [committed] }],
  });
  check("OffsetDelete request", offsetDelete, {
    group: "billing",
    topics: [{ topic: "orders", partitions: [5] }],
  });
  check("DescribeGroups request", describeGroups, { group: "billing" });
  check("DescribeGroups request for rights", describeGroups, {
    group: "billing",
    withAuthorizedOperations: true,
  });
  check("DescribeLogDirs request", describeLogDirs, {
    topics: [{ topic: "orders", partitions: [5] }],
  });
  check("ConsumerGroupDescribe request", consumerGroupDescribe, { group: "billing" });
  check("DescribeCluster request", describeCluster, undefined);
});

const responses: [string, AnyApi<never>, object][] = [
  [
    "ApiVersions response",
    apiVersions,
    { throttleTimeMs: 0, errorCode: 0, ranges: new Map([[1, { minVersion: 4, maxVersion: 18 }]]) },
  ],
  [
    "Metadata response",
    metadata,
    {
      throttleTimeMs: 4,
      nodes: [{ nodeId: 2, host: "h", port: 9092 }],
      clusterId: "cluster",
      controllerId: 2,
      topics: [
        {
          errorCode: 0,
          name: "orders",
          topicId: "AAAAAAAAAAEAAAAAAAAAAg",
          internal: true,
          authorizedOperations: ["READ", "ALTER_CONFIGS"],
          partitions: [
            {
              errorCode: 9,
              partition: 5,
              leader: 2,
              leaderEpoch: 7,
              replicas: [1, 2],
              inSyncReplicas: [2],
            },
          ],
        },
        {
          errorCode: 3,
          name: "absent",
          topicId: "AAAAAAAAAAAAAAAAAAAAAA",
          internal: false,
          authorizedOperations: undefined,
          partitions: [],
        },
      ],
    },
  ],
  [
    "CreateTopics response",
    createTopics,
    { throttleTimeMs: 4, topics: [{ topic: "orders", errorCode: 36, errorMessage: "exists" }] },
  ],
  [
    "DescribeConfigs response",
    describeConfigs,
    {
      throttleTimeMs: 4,
      results: [
        {
          errorCode: 0,
          errorMessage: null,
          topic: "orders",
          settings: [
            { name: "retention.ms", value: "-1", ofTopic: true, readOnly: false },
            { name: "secret", value: null, ofTopic: false, readOnly: true },
          ],
        },
      ],
    },
  ],
  [
    "IncrementalAlterConfigs response",
    incrementalAlterConfigs,
    { throttleTimeMs: 4, errorCode: 40, errorMessage: "bad" },
  ],
  [
    "ListOffsets response",
    listOffsets,
    { throttleTimeMs: 4, partitions: [{ ...at, errorCode: 6, offset: large, leaderEpoch: 7 }] },
  ],
  [
    "OffsetForLeaderEpoch response",
    offsetForLeaderEpoch,
    { throttleTimeMs: 4, errorCode: 74, leaderEpoch: 6, endOffset: large },
  ],
  [
    "Fetch response",
    fetch,
    {
      throttleTimeMs: 4,
      errorCode: 0,
      highWatermark: 30n,
      lastStableOffset: 20n,
      logStartOffset: 10n,
      abortedTransactions: [{ producerId: 11n, firstOffset: 12n }],
      records,
    },
  ],
  [
    "Produce response",
    produce,
    {
      throttleTimeMs: 4,
      errorCode: 87,
      baseOffset: -1n,
      logStartOffset: 10n,
      recordErrors: [{ index: 3, message: "bad" }],
      errorMessage: "refused",
    },
  ],
  [
    "InitProducerId response",
    initProducerId,
    { throttleTimeMs: 4, errorCode: 14, producerId: large, producerEpoch: 6 },
  ],
  [
    "DescribeProducers response",
    describeProducers,
    {
      throttleTimeMs: 4,
      errorCode: 0,
      errorMessage: null,
      producers: [
        { producerId: 11n, producerEpoch: 1, lastTimestamp: 3n, transactionStartOffset: 12n },
      ],
    },
  ],
  [
    "ListGroups response",
    listGroups,
    {
      throttleTimeMs: 4,
      errorCode: 15,
      groups: [{ group: "billing", protocolType: "consumer" }],
    },
  ],
  [
    "OffsetFetch response",
    offsetFetch,
    {
      throttleTimeMs: 4,
      errorCode: 16,
      offsets: [{ ...at, offset: large, leaderEpoch: 7, metadata: "note", errorCode: 88 }],
    },
  ],
  [
    "FindCoordinator response",
    findCoordinator,
    { throttleTimeMs: 4, errorCode: 15, errorMessage: "loading", host: "h", port: 9092 },
  ],
  [
    "OffsetCommit response",
    offsetCommit,
    { throttleTimeMs: 4, partitions: [{ ...at, errorCode: 25 }] },
  ],
  [
    "OffsetDelete response",
    offsetDelete,
    { throttleTimeMs: 4, errorCode: 68, partitions: [{ ...at, errorCode: 86 }] },
  ],
  [
    "DescribeGroups response",
    describeGroups,
    {
      throttleTimeMs: 4,
      errorCode: 16,
      errorMessage: null,
      state: "Stable",
      members: [{ memberId: "m-1", clientId: "app", host: "/127.0.0.1" }],
    },
  ],
  [
    "DescribeGroups response with rights",
    describeGroups,
    {
      throttleTimeMs: 4,
      errorCode: 0,
      errorMessage: null,
      state: "Dead",
      members: [],
      authorizedOperations: ["READ", "DESCRIBE"],
    },
  ],
  [
    "DescribeLogDirs response",
    describeLogDirs,
    {
      throttleTimeMs: 4,
      logDirs: [
        { errorCode: 56, path: "/data", replicas: [{ ...at, bytes: large, future: true }] },
      ],
    },
  ],
  [
    "ConsumerGroupDescribe response",
    consumerGroupDescribe,
    {
      throttleTimeMs: 4,
      errorCode: 69,
      errorMessage: "not a consumer group",
      state: "Stable",
      members: [{ memberId: "m-1", clientId: "app", host: "/127.0.0.1" }],
    },
  ],
  [
    "DescribeCluster response",
    describeCluster,
    {
      throttleTimeMs: 4,
      errorCode: 15,
      errorMessage: "loading",
      authorizedOperations: ["DESCRIBE", "ALTER_CONFIGS"],
    },
  ],
  [
    "DescribeAcls response",
    describeAcls,
    {
      throttleTimeMs: 4,
      errorCode: 0,
      errorMessage: null,
      bindings: [
        {
          resource_type: "TOPIC",
          resource_name: "orders",
          pattern_type: "PREFIXED",
          principal: "User:alice",
          host: "*",
          operation: "READ",
          permission: "ALLOW",
        },
      ],
    },
  ],
];

describe.each(responses)("%s", (name, api, expected) => {
  test("is read as Kafka wrote it, to its last byte", () => {
    const reader = new WireReader(bytesOf(name));
    expect(api.decode(reader)).toEqual(expected);
    expect(reader.remaining).toBe(0);
  });

  test("that was cut anywhere is refused as too short", () => {
    const bytes = bytesOf(name);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => api.decode(new WireReader(bytes.subarray(0, length)))).toThrow(RangeError);
    }
  });
});

test("a fetch's records are a view of the response, not a copy", () => {
  const bytes = bytesOf("Fetch response");
  const response = fetch.decode(new WireReader(bytes));
  bytes.fill(9);
  expect(response.records).toEqual(Buffer.alloc(5, 9));
});

test("a produce request refers to its batch instead of copying it", () => {
  const writer = new WireWriter();
  produce.encode({ ...at, batch: records, timeoutMs: 1 }, writer);
  expect(writer.buffers()).toContain(records);
});
