/** What all requests to a cluster share: its brokers, its partitions' leaders, and repeating. */
import { BackupError, isBackupError, isRetryable } from "#core/errors.ts";
import {
  addressOf,
  type BrokerAddress,
  type BrokerConnection,
} from "#core/kafka/broker-connection.ts";
import type { BrokerConnections, Lane } from "#core/kafka/broker-connections.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { kafkaError } from "#core/kafka/kafka-errors.ts";
import {
  type MetadataRequest,
  type MetadataResponse,
  type MetadataTopic,
  metadata,
} from "#core/kafka/protocol/metadata.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";
import type { Clock, Logger } from "#core/runtime.ts";

/** Longer than a broker's session (9 s) and the election after it, as in a rolling restart. */
export const retryBudgetMsDefault = 30_000;
/** Else one attempt asks thirty brokers, 10 s each, where a network drops all packets to them. */
const candidatesMsMax = 30_000;
const retryPauseMsMin = 100;
const retryPauseMsMax = 2_000;

const topicErrorUnknown = 3;

export interface Leader {
  readonly address: BrokerAddress;
  readonly leaderEpoch: number;
}

export interface SessionDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly connections: BrokerConnections;
  readonly bootstrap: readonly BrokerAddress[];
  readonly retryBudgetMs: number;
  /** Connections per broker for fetches, and as many for produce requests. */
  readonly lanes: number;
}

export class Session {
  readonly connections: BrokerConnections;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly #deps: SessionDeps;
  readonly #nodes = new Map<number, BrokerAddress>();
  readonly #topics = new Map<string, MetadataTopic>();
  readonly #laneNumbers = new Map<string, number>();
  /** Brokers that had no answer when they were asked last, the one of longest ago first. */
  readonly #silent = new Set<string>();
  #controllerId = -1;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.connections = deps.connections;
    this.clock = deps.clock;
    this.logger = deps.logger;
  }

  /** Addresses of all brokers, as of the last metadata. */
  nodes(): BrokerAddress[] {
    return [...this.#nodes.values()];
  }

  /** Their node ids, as of now, ascending. */
  async brokerIds(): Promise<number[]> {
    const { nodes } = await this.retrying(() => this.refresh([]));
    return nodes.map(({ nodeId }) => nodeId).sort((one, other) => one - other);
  }

  /**
   * Sends to any broker that takes it: what is repeated on the next one is never half done. An
   * answer for which `check` throws BrokerUnavailableError counts as none.
   */
  async anyBroker<Request, Response extends { readonly throttleTimeMs: number }>(
    api: Api<Request, Response>,
    request: Request,
    check?: (response: Response, address: BrokerAddress) => void,
  ): Promise<Response> {
    const failures: unknown[] = [];
    const giveUpAtMs = this.clock.monotonicMs() + candidatesMsMax;
    for (const address of this.#candidates()) {
      const name = addressOf(address);
      try {
        const response = await this.connections.call(address, "admin", api, request);
        check?.(response, address);
        this.#silent.delete(name);
        return response;
      } catch (error) {
        if (!isBackupError(error, "BrokerUnavailableError")) throw error;
        this.connections.signal.throwIfAborted();
        this.#silent.delete(name);
        this.#silent.add(name);
        failures.push(error);
        if (this.clock.monotonicMs() >= giveUpAtMs) break;
      }
    }
    const reasons = new Set(failures.map((error) => (error as Error).message));
    throw new BackupError("BrokerUnavailableError", [...reasons].join("; "), {
      cause: failures[0],
    });
  }

  /** A ready connection to the controller (any broker of a KRaft cluster passes requests on). */
  async controller(): Promise<BrokerConnection> {
    await this.refresh([]);
    const address = this.#nodes.get(this.#controllerId) ?? this.#candidates()[0]!;
    return this.connections.ready(address, "admin");
  }

  /** Asks for the metadata of topics (null for all) and remembers it. */
  async refresh(
    topics: readonly string[] | null,
    options: Pick<MetadataRequest, "withAuthorizedOperations"> = {},
  ): Promise<MetadataResponse> {
    const answer = await this.anyBroker(metadata, { topics, ...options }, refuseEmpty);
    const response = { ...answer, topics: answer.topics.map(inOrder) };
    this.#nodes.clear();
    for (const { nodeId, host, port } of response.nodes) this.#nodes.set(nodeId, { host, port });
    this.#controllerId = response.controllerId;
    for (const topic of response.topics) {
      if (topic.errorCode === 0) this.#topics.set(topic.name, topic);
      else this.#topics.delete(topic.name);
    }
    return response;
  }

  /** Forgets a topic's leaders, so that the next request asks for them again. */
  forget(topic: string): void {
    this.#topics.delete(topic);
  }

  /**
   * The partition's leader, from memory where known. Throws TopicNotFoundError,
   * AccessDeniedError, and BrokerUnavailableError where there is no leader now.
   */
  async leaderOf({ topic, partition }: TopicPartition): Promise<Leader> {
    let known = this.#topics.get(topic);
    // Partitions may have been added since.
    if (known?.partitions[partition] === undefined) known = await this.#describe(topic);
    const found = known.partitions[partition];
    if (found === undefined) throw missingPartition(known, partition);
    const address = this.#nodes.get(found.leader);
    if (address !== undefined) return { address, leaderEpoch: found.leaderEpoch };
    this.forget(topic);
    throw kafkaError({
      code: found.errorCode || leaderNotAvailable,
      what: `leader of ${topic}-${partition}`,
      details: { topic, partition },
    });
  }

  /** A partition stays on its lane, so that its requests stay in order; partitions take turns. */
  laneOf<Kind extends "fetch" | "produce">(kind: Kind, at: TopicPartition): Lane {
    const key = `${kind} ${at.topic}-${at.partition}`;
    let number = this.#laneNumbers.get(key);
    if (number === undefined) {
      number = this.#laneNumbers.size % this.#deps.lanes;
      this.#laneNumbers.set(key, number);
    }
    return `${kind}-${number}`;
  }

  /**
   * Repeats what may be repeated, with growing pauses, while its failure may pass by itself: at
   * least once, for on a connection that is half-open the first attempt takes all of the time.
   */
  async retrying<T>(attempt: () => Promise<T>): Promise<T> {
    const giveUpAtMs = this.clock.monotonicMs() + this.#deps.retryBudgetMs;
    let isRepeated = false;
    for (let pauseMs = retryPauseMsMin; ; pauseMs = Math.min(pauseMs * 2, retryPauseMsMax)) {
      try {
        return await attempt();
      } catch (error) {
        this.connections.signal.throwIfAborted();
        if (!isRetryable(error)) throw error;
        const { watch } = this.connections;
        const isLate = this.clock.monotonicMs() + pauseMs > giveUpAtMs;
        if (isLate && isRepeated) throw watch.gaveUp(error);
        isRepeated = true;
        watch.throwIfOpen();
        const { message } = error as Error;
        this.logger.debug("a request is repeated", { pause_ms: pauseMs, error: message });
        await this.clock.sleep(pauseMs, this.connections.signal);
      }
    }
  }

  /**
   * Runs `attempt` with the partition's leader, and with the new one after a failure that a
   * move of the leader explains.
   */
  async onLeader<T>(at: TopicPartition, attempt: (leader: Leader) => Promise<T>): Promise<T> {
    return this.retrying(async () => {
      const leader = await this.leaderOf(at);
      try {
        return await attempt(leader);
      } catch (error) {
        this.forget(at.topic);
        throw error;
      }
    });
  }

  async #describe(topic: string): Promise<MetadataTopic> {
    const response = await this.refresh([topic]);
    const found = response.topics[0];
    if (found?.errorCode === 0) return found;
    throw topicError(topic, found?.errorCode ?? topicErrorUnknown);
  }

  /**
   * Known brokers in random order, then the bootstrap servers; last those that had no answer, so
   * that each has its turn where there are more than one attempt has the time for.
   */
  #candidates(): BrokerAddress[] {
    const nodes = this.nodes();
    const start = Math.floor(Math.random() * nodes.length);
    const addresses = [...nodes.slice(start), ...nodes.slice(0, start), ...this.#deps.bootstrap];
    const byName = new Map(addresses.map((address) => [addressOf(address), address]));
    const silent = [...this.#silent].flatMap((name) => byName.get(name) ?? []);
    for (const name of this.#silent) byName.delete(name);
    return [...byName.values(), ...silent];
  }
}

const leaderNotAvailable = 5;

/**
 * A broker that has just started may answer before it was told of the cluster: it knows of no
 * broker then, itself included, and says of each topic that there is none.
 */
function refuseEmpty({ nodes }: MetadataResponse, address: BrokerAddress): void {
  if (nodes.length > 0) return;
  throw new BackupError(
    "BrokerUnavailableError",
    `${addressOf(address)} does not know the cluster yet`,
  );
}

export function topicError(topic: string, code: number): BackupError {
  return kafkaError({
    code,
    what: `topic ${topic}`,
    needs: `Describe on topic ${topic}`,
    details: { topic },
  });
}

/** Partitions are numbered from 0 without holes; a broker lists them in any order. */
function inOrder(topic: MetadataTopic): MetadataTopic {
  const partitions = topic.partitions.toSorted((one, other) => one.partition - other.partition);
  return { ...topic, partitions };
}

function missingPartition(topic: MetadataTopic, partition: number): BackupError {
  return kafkaError({
    code: topicErrorUnknown,
    what: `${topic.name}-${partition} (the topic has ${topic.partitions.length} partitions)`,
    details: { topic: topic.name, partition },
  });
}
