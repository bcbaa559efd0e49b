/**
 * Asks brokers one by one, each for itself: which bootstrap servers answer, and whether each broker
 * can be reached under the address that it advertises. A cluster's connection hides this, as it
 * goes on with whichever broker answers.
 */
import { type BackupError, isBackupError } from "#core/errors.ts";
import {
  addressOf,
  type BrokerAddress,
  type BrokerConnection,
  openBrokerConnection,
} from "#core/kafka/broker-connection.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type ConnectDeps, parseAddress, transportOf } from "#core/kafka/connect.ts";
import { type MetadataNode, metadata } from "#core/kafka/protocol/metadata.ts";

export interface BootstrapAnswer {
  /** As configured. */
  readonly server: string;
  readonly answer: KnownCluster | BackupError;
}

export interface KnownCluster {
  readonly clusterId: string;
  readonly brokers: readonly MetadataNode[];
}

export interface BrokerAnswer {
  readonly nodeId: number;
  /** As the broker advertises itself. */
  readonly address: string;
  /** Names of the wanted APIs that it does not answer in the version that we speak. */
  readonly answer: { readonly lacks: readonly string[] } | BackupError;
}

interface WantedApi {
  readonly name: string;
  readonly key: number;
  readonly version: number;
}

export interface Probe {
  bootstrapServers(): Promise<BootstrapAnswer[]>;
  brokers(nodes: readonly MetadataNode[], apis: readonly WantedApi[]): Promise<BrokerAnswer[]>;
}

/**
 * Each server and broker gets `timeoutMs` for connecting, TLS and login, and as much for an answer;
 * all are asked at once. `signal` drops what is open. Throws InvalidRequestError for a
 * configuration that cannot work.
 */
export async function openProbe(
  config: ClusterConfig,
  deps: ConnectDeps,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Probe> {
  const { make, identity } = await transportOf(config, deps);
  const servers = config.bootstrap_servers.map((server) => [server, parseAddress(server)] as const);

  const connected = async <T>(
    address: BrokerAddress,
    use: (connection: BrokerConnection) => T | Promise<T>,
  ): Promise<T | BackupError> => {
    try {
      const connection = await openBrokerConnection(make, identity, address, signal, timeoutMs);
      try {
        return await use(connection);
      } finally {
        connection.destroy();
      }
    } catch (error) {
      signal.throwIfAborted();
      if (isBackupError(error)) return error;
      throw error;
    }
  };

  return {
    bootstrapServers: () =>
      Promise.all(
        servers.map(async ([server, address]) => ({
          server,
          answer: await connected(address, async (connection) => {
            const answer = await connection.call(metadata, { topics: [] }, timeoutMs);
            return { clusterId: answer.clusterId ?? "", brokers: answer.nodes };
          }),
        })),
      ),
    brokers: (nodes, apis) =>
      Promise.all(
        nodes.map(async ({ nodeId, host, port }) => ({
          nodeId,
          address: addressOf({ host, port }),
          answer: await connected({ host, port }, (connection) => {
            const lacks = apis.filter((api) => !connection.knows(api));
            return { lacks: lacks.map(({ name }) => name) };
          }),
        })),
      ),
  };
}
