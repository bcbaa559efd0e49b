/** Makes a `Cluster` over kafkajs's connections. */
import type { ServiceWatch } from "#core/circuit-breaker.ts";
import { BackupError } from "#core/errors.ts";
import { clusterOperations, groupOperations } from "#core/kafka/authorized-operations.ts";
import {
  type BrokerAddress,
  connectTimeoutMs,
  type LoginIdentity,
} from "#core/kafka/broker-connection.ts";
import { BrokerConnections } from "#core/kafka/broker-connections.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type ClusterConfig, clientIdDefault } from "#core/kafka/cluster-config.ts";
import { Fetcher } from "#core/kafka/fetch-requests.ts";
import { commitOffsets, deleteOffsets } from "#core/kafka/group-changes.ts";
import { committedOffsets, describeGroups } from "#core/kafka/group-requests.ts";
import { type ConnectionFactory, connectionFactory } from "#core/kafka/kafkajs-internals.ts";
import { logSizes } from "#core/kafka/log-sizes.ts";
import { type LoginDeps, loginOf, saslOf } from "#core/kafka/login.ts";
import {
  endOffsetOfEpoch,
  listOffsets,
  logEndOffset,
  openTransactions,
} from "#core/kafka/partition-requests.ts";
import { initProducerId, Producer } from "#core/kafka/produce-requests.ts";
import { retryBudgetMsDefault, Session } from "#core/kafka/session.ts";
import { tlsOptionsOf } from "#core/kafka/tls-options.ts";
import {
  alterTopicSettings,
  createTopics,
  describeAcls,
  describeTopics,
  topicSettings,
  validateNewTopic,
} from "#core/kafka/topic-requests.ts";
import type { Logger } from "#core/runtime.ts";

export interface ConnectDeps extends LoginDeps {
  readonly logger: Logger;
  /** How long requests that may be repeated are repeated; 30 s when not given. */
  readonly retryBudgetMs?: number;
  /** Connections per broker for fetches, and as many for produce requests; 4 when not given. */
  readonly lanes?: number;
  /** Ends a run whose brokers answer nothing any more. */
  readonly watch?: ServiceWatch;
}

/** One for each partition that a backup or restore works on at a time by default. */
const lanesDefault = 4;
const portDefault = 9092;

/**
 * Connects to the first bootstrap server that answers. Throws InvalidRequestError for an address
 * or combination that cannot work, InvalidConfigError for certificates and keys that cannot be
 * used, AccessDeniedError for a refused login or certificate, and BrokerUnavailableError that names
 * every server and why it did not answer.
 */
export async function connectCluster(config: ClusterConfig, deps: ConnectDeps): Promise<Cluster> {
  const { clock, logger } = deps;
  const connections = new BrokerConnections({
    ...(await transportOf(config, deps)),
    clock,
    logger,
    watch: deps.watch,
  });
  const session = new Session({
    clock,
    logger,
    connections,
    bootstrap: config.bootstrap_servers.map(parseAddress),
    retryBudgetMs: deps.retryBudgetMs ?? retryBudgetMsDefault,
    lanes: deps.lanes ?? lanesDefault,
  });
  try {
    const { clusterId } = await session.refresh([]);
    return clusterOver(session, clusterId ?? "");
  } catch (error) {
    await connections.close();
    throw error;
  }
}

/** How the connections of a configuration are made, and who logs in on them. */
export interface Transport {
  readonly make: ConnectionFactory;
  readonly identity: LoginIdentity;
}

/**
 * Throws InvalidRequestError for a combination that cannot work, and InvalidConfigError for
 * certificates and keys that cannot be used. Connects to nothing.
 */
export async function transportOf(config: ClusterConfig, deps: ConnectDeps): Promise<Transport> {
  const { logger } = deps;
  const clientId = config.client_id ?? clientIdDefault;
  const tls = tlsOptionsOf(config);
  const sasl = await saslOf(config, deps);
  return {
    make: connectionFactory({ clientId, tls, sasl, connectTimeoutMs, logger }),
    identity: { clientId, ...loginOf(config), withTls: tls !== undefined },
  };
}

function clusterOver(session: Session, clusterId: string): Cluster {
  const fetcher = new Fetcher(session);
  const producer = new Producer(session);
  return {
    clusterId,
    describeTopics: (names) => describeTopics(session, names),
    topicSettings: (topics) => topicSettings(session, topics),
    brokerIds: () => session.brokerIds(),
    createTopics: (topics) => createTopics(session, topics),
    validateNewTopic: (topic) => validateNewTopic(session, topic),
    alterTopicSettings: (topic, changes) => alterTopicSettings(session, topic, changes, false),
    validateTopicSettings: (topic, changes) => alterTopicSettings(session, topic, changes, true),
    listOffsets: (partitions, at) => listOffsets(session, partitions, at),
    endOffsetOfEpoch: (at, leaderEpoch) => endOffsetOfEpoch(session, at, leaderEpoch),
    logEndOffset: (at) => logEndOffset(session, at),
    fetch: (request) => fetcher.fetch(request),
    initProducerId: () => initProducerId(session),
    produce: (request) => producer.produce(request),
    committedOffsets: (groups) => committedOffsets(session, groups),
    describeGroups: (groups) => describeGroups(session, groups),
    commitOffsets: (group, offsets) => commitOffsets(session, group, offsets),
    deleteOffsets: (group, partitions) => deleteOffsets(session, group, partitions),
    openTransactions: (at) => openTransactions(session, at),
    describeAcls: () => describeAcls(session),
    throttledMs: () => session.connections.throttledMs,
    clusterOperations: () => clusterOperations(session),
    groupOperations: (groups) => groupOperations(session, groups),
    logSizes: (topics) => logSizes(session, topics),
    disconnect: () => session.connections.close(),
  };
}

export function parseAddress(server: string): BrokerAddress {
  const [, v6, name, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(server) ?? [];
  const host = v6 ?? name;
  const number = port === undefined ? portDefault : Number(port);
  if (host !== undefined && number >= 1 && number <= 65_535) return { host, port: number };
  throw new BackupError(
    "InvalidRequestError",
    `bootstrap server "${server}" is not of the form host:port`,
  );
}
