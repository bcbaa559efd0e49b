/** Which broker's word a session takes. */
import { expect, test } from "vitest";
import { unwatched } from "#core/circuit-breaker.ts";
import { BackupError } from "#core/errors.ts";
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

/** Brokers of which only the last one answers; each other one takes 10 s to say nothing. */
function sessionOfSilent(count: number) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const call = async ({ host }: BrokerAddress) => {
    asked.push(host);
    if (host === `b${count}`) return full;
    await clock.sleep(10_000);
    throw new BackupError("BrokerUnavailableError", `${host} is away`);
  };
  const { signal } = new AbortController();
  const connections = { call, signal, watch: unwatched } as unknown as BrokerConnections;
  const bootstrap = Array.from({ length: count }, (_, i) => ({ host: `b${i + 1}`, port: 9092 }));
  const session = new Session({
    ...{ clock, logger: silentLogger, connections, bootstrap },
    ...{ retryBudgetMs: 30_000, lanes: 1 },
  });
  return { clock, session, asked };
}

test("K4 an attempt goes on where the one before ended, and so finds the one that answers", async () => {
  const { clock, session, asked } = sessionOfSilent(6);
  await clock.runUntil(session.brokerIds());
  expect(asked).toEqual(["b1", "b2", "b3", "b4", "b5", "b6"]);
});

test("however many brokers are silent, a request is given up in about a minute", async () => {
  const { clock, session, asked } = sessionOfSilent(30);
  await expect(clock.runUntil(session.brokerIds())).rejects.toMatchObject({
    name: "BrokerUnavailableError",
  });
  expect(asked).toEqual(["b1", "b2", "b3", "b4", "b5", "b6"]);
  expect(clock.monotonicMs()).toBeLessThan(70_000);
});
