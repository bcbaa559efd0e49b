/** Fetches from leaders, and follows a leader's change where the log that was read is intact. */
import { BackupError } from "#core/errors.ts";
import { requestTimeoutMs } from "#core/kafka/broker-connection.ts";
import type { FetchedPartition, FetchRequest } from "#core/kafka/cluster.ts";
import { kafkaErrorName } from "#core/kafka/kafka-errors.ts";
import { endOffsetOfEpoch, partitionError } from "#core/kafka/partition-requests.ts";
import { type FetchResponse, fetch as fetchApi } from "#core/kafka/protocol/fetch.ts";
import type { Session } from "#core/kafka/session.ts";

/**
 * A broker that has not heard of the newest epoch yet hears of it within the pauses between this
 * many attempts, 7 s in all: longer than an election under load takes to reach all brokers.
 */
const unknownEpochAttemptsMax = 8;

interface FollowedEpoch {
  readonly asked: number;
  readonly current: number;
}

export class Fetcher {
  readonly #session: Session;
  /** By partition: the epoch that callers ask with, and the newer one found to continue it. */
  readonly #followed = new Map<string, FollowedEpoch>();

  constructor(session: Session) {
    this.#session = session;
  }

  async fetch(request: FetchRequest): Promise<FetchedPartition> {
    let unknownEpochs = 0;
    return this.#session.onLeader(request, async ({ address }) => {
      const answer = await this.#session.connections.call(
        address,
        this.#session.laneOf("fetch", request),
        fetchApi,
        { ...request, currentLeaderEpoch: this.#epochFor(request) },
        request.maxWaitMs + requestTimeoutMs,
      );
      if (answer.errorCode === 0) return fetched(answer);
      const error = fetchError(answer, request);
      switch (kafkaErrorName(answer.errorCode)) {
        case "FENCED_LEADER_EPOCH":
          await this.#follow(request, error);
          throw repeatable(error);
        case "UNKNOWN_LEADER_EPOCH":
          unknownEpochs += 1;
          throw unknownEpochs < unknownEpochAttemptsMax ? repeatable(error) : error;
        default:
          throw error;
      }
    });
  }

  #epochFor(request: FetchRequest): number {
    const followed = this.#followed.get(`${request.topic}-${request.partition}`);
    return followed?.asked === request.currentLeaderEpoch
      ? followed.current
      : request.currentLeaderEpoch;
  }

  /**
   * A newer leader leads. Where its log still has all that lies before the fetch offset (KIP-320),
   * fetches go on under its epoch; else `error` is thrown: the log was truncated or made anew.
   */
  async #follow(request: FetchRequest, error: BackupError): Promise<void> {
    const { topic, partition, currentLeaderEpoch } = request;
    const intact = await endOffsetOfEpoch(this.#session, { topic, partition }, currentLeaderEpoch);
    if (intact.endOffset < request.fetchOffset) throw error;
    this.#session.forget(topic);
    const { leaderEpoch } = await this.#session.leaderOf({ topic, partition });
    if (leaderEpoch <= this.#epochFor(request)) return;
    this.#followed.set(`${topic}-${partition}`, {
      asked: currentLeaderEpoch,
      current: leaderEpoch,
    });
  }
}

function fetched(answer: FetchResponse): FetchedPartition {
  const { errorCode: _, ...partition } = answer;
  return partition;
}

function fetchError(answer: FetchResponse, request: FetchRequest): BackupError {
  return partitionError(answer.errorCode, "Fetch", request, {
    where: ` at offset ${request.fetchOffset}`,
    offset: request.fetchOffset,
    needs: `Read on topic ${request.topic}`,
  });
}

function repeatable(error: BackupError): BackupError {
  const { message, details } = error;
  return new BackupError("BrokerUnavailableError", message, { cause: error, details });
}
