/** Sends record batches, in call order per partition, each once. */
import { requestTimeoutMs } from "#core/kafka/broker-connection.ts";
import type { ProduceAnswer, ProduceRequest, TopicPartition } from "#core/kafka/cluster.ts";
import { isRetriableCode, kafkaError, kafkaErrorName } from "#core/kafka/kafka-errors.ts";
import { initProducerId as initProducerIdApi } from "#core/kafka/protocol/init-producer-id.ts";
import { type ProduceResponse, produce as produceApi } from "#core/kafka/protocol/produce.ts";
import type { Session } from "#core/kafka/session.ts";

export class Producer {
  readonly #session: Session;
  /** By partition: settles when the last call's request is on its way, or cannot be sent. */
  readonly #dispatched = new Map<string, Promise<unknown>>();

  constructor(session: Session) {
    this.#session = session;
  }

  produce(request: ProduceRequest): Promise<ProduceAnswer> {
    const key = `${request.topic}-${request.partition}`;
    const before = this.#dispatched.get(key) ?? Promise.resolve();
    const dispatched = before.then(() => this.#dispatch(request));
    const settled = dispatched.catch(() => {});
    this.#dispatched.set(key, settled);
    return dispatched.then(({ answer }) => answer);
  }

  /** Resolves once the request is written, with its answer to come. */
  async #dispatch(request: ProduceRequest): Promise<{ answer: Promise<ProduceAnswer> }> {
    const { connections } = this.#session;
    const { address } = await this.#session.retrying(() => this.#session.leaderOf(request));
    try {
      const lane = this.#session.laneOf("produce", request);
      const connection = await connections.ready(address, lane);
      const timeoutMs = request.timeoutMs + requestTimeoutMs;
      const response = connections.send(connection, produceApi, request, timeoutMs);
      return { answer: this.#answer(request, response) };
    } catch (error) {
      this.#session.forget(request.topic);
      throw error;
    }
  }

  async #answer(at: TopicPartition, response: Promise<ProduceResponse>): Promise<ProduceAnswer> {
    try {
      const answer = await response;
      if (isRetriableCode(answer.errorCode)) this.#session.forget(at.topic);
      return {
        errorCode: answer.errorCode,
        error: kafkaErrorName(answer.errorCode),
        errorMessage: messageOf(answer),
        baseOffset: answer.baseOffset,
        logStartOffset: answer.logStartOffset,
      };
    } catch (error) {
      this.#session.forget(at.topic);
      throw error;
    }
  }
}

function messageOf({ errorMessage, recordErrors }: ProduceResponse): string | undefined {
  const records = recordErrors.map(({ index, message }) => `record ${index}: ${message ?? "?"}`);
  const parts = [...(errorMessage === null ? [] : [errorMessage]), ...records];
  return parts.length === 0 ? undefined : parts.join("; ");
}

export async function initProducerId(
  session: Session,
): Promise<{ producerId: bigint; producerEpoch: number }> {
  return session.retrying(async () => {
    const answer = await session.anyBroker(initProducerIdApi, undefined);
    if (answer.errorCode === 0) {
      return { producerId: answer.producerId, producerEpoch: answer.producerEpoch };
    }
    throw kafkaError({
      code: answer.errorCode,
      what: "InitProducerId",
      needs: "IdempotentWrite on the cluster, or Write on a topic",
    });
  });
}
