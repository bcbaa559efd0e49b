/** Which broker's word a session takes. */
import { expect, test } from "vitest";
import { unwatched } from "#core/circuit-breaker.ts";
import type { BrokerAddress } from "#core/kafka/broker-connection.ts";
import type { BrokerConnections } from "#core/kafka/broker-connections.ts";
import { committedOffsets } from "#core/kafka/group-requests.ts";
import type { MetadataResponse } from "#core/kafka/protocol/metadata.ts";
import { Session } from "#core/kafka/session.ts";
import { describeTopics } from "#core/kafka/topic-requests.ts";
import { silentLogger } from "#core/runtime.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const unknownTopic = 3;

const topicOf = (errorCode: number) => ({
  ...{ errorCode, name: "orders", topicId: "AAAAAAAAAAAAAAAAAAAAAQ", internal: false },
  ...{ authorizedOperations: undefined, partitions: [] },
});

/** What a broker answers that was not told of the cluster yet. */
const empty: MetadataResponse = {
  ...{ throttleTimeMs: 0, nodes: [], clusterId: null, controllerId: -1 },
  topics: [topicOf(unknownTopic)],
};

const full: MetadataResponse = {
  ...{ throttleTimeMs: 0, clusterId: "c", controllerId: 1 },
  nodes: [{ nodeId: 2, host: "two", port: 9092 }],
  topics: [topicOf(0)],
};

/** The answers to Metadata, by host. */
function sessionOf(answers: Readonly<Record<string, MetadataResponse>>) {
  const clock = new FakeClock();
  const call = async ({ host }: BrokerAddress) => answers[host];
  const { signal } = new AbortController();
  const connections = { call, signal, watch: unwatched } as unknown as BrokerConnections;
  const bootstrap = Object.keys(answers).map((host) => ({ host, port: 9092 }));
  const session = new Session({
    ...{ clock, logger: silentLogger, connections, bootstrap },
    ...{ retryBudgetMs: 1_000, lanes: 1 },
  });
  return { clock, session };
}

test("a broker that does not know the cluster yet is passed over for one that does", async () => {
  const { session } = sessionOf({ one: empty, two: full });
  expect((await describeTopics(session, ["orders"])).map(({ name }) => name)).toEqual(["orders"]);
  expect(session.nodes()).toEqual([{ host: "two", port: 9092 }]);
});

test.each([
  ["topics", (session: Session): Promise<unknown> => describeTopics(session, ["orders"])],
  ["K8 groups", (session: Session): Promise<unknown> => committedOffsets(session)],
  ["brokers", (session: Session): Promise<unknown> => session.brokerIds()],
])("%s are never missing by the word of such a broker alone", async (_, ask) => {
  const { clock, session } = sessionOf({ one: empty });
  await expect(clock.runUntil(ask(session))).rejects.toMatchObject({
    name: "BrokerUnavailableError",
    message: "one:9092 does not know the cluster yet",
  });
});
