/** How long an answer may take on a connection that the broker throttles (KIP-219). */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BrokerConnection } from "#core/kafka/broker-connection.ts";
import type { KafkajsConnection } from "#core/kafka/kafkajs-internals.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";

const api: Api<undefined, { readonly throttleTimeMs: number }> = {
  ...{ name: "Any", key: 0, version: 0, flexible: false },
  encode() {},
  decode: (reader) => ({ throttleTimeMs: reader.int32() }),
};

/** A connection whose answers a test gives, in the order of the requests. */
function connectionOf() {
  const waiting: PromiseWithResolvers<Buffer>[] = [];
  let closedBy: Error | undefined;
  const raw: Pick<KafkajsConnection, "send" | "destroy" | "closedBy"> = {
    get closedBy() {
      return closedBy;
    },
    send() {
      const answer = Promise.withResolvers<Buffer>();
      waiting.push(answer);
      return answer.promise;
    },
    destroy(reason) {
      closedBy = reason;
      for (const { reject } of waiting.splice(0)) reject(reason);
    },
  };
  const versions = new Map([[0, { minVersion: 0, maxVersion: 0 }]]);
  const connection = new BrokerConnection(
    raw as KafkajsConnection,
    "client",
    "kafka:9092",
    versions,
  );
  const answer = async (throttleTimeMs: number) => {
    const body = Buffer.alloc(4);
    body.writeInt32BE(throttleTimeMs);
    waiting.shift()!.resolve(body);
    await vi.advanceTimersByTimeAsync(0);
  };
  return { connection, answer };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("K5 requests in flight behind an answer that throttles have that time more", async () => {
  const { connection, answer } = connectionOf();
  const first = connection.call(api, undefined, 30_000);
  const second = connection.call(api, undefined, 30_000);
  const third = connection.call(api, undefined, 30_000);
  await vi.advanceTimersByTimeAsync(29_000);
  await answer(10_000);
  await first;
  // 10 s in which the broker reads nothing; then it answers the next, and throttles again.
  await vi.advanceTimersByTimeAsync(10_500);
  await answer(10_000);
  await second;
  await vi.advanceTimersByTimeAsync(10_400);
  expect(connection.open).toBe(true);
  await answer(0);
  await third;
});

test("an answer that does not come when the throttling is over drops the connection", async () => {
  const { connection, answer } = connectionOf();
  const first = connection.call(api, undefined, 30_000);
  const second = connection.call(api, undefined, 30_000);
  second.catch(() => {});
  await vi.advanceTimersByTimeAsync(1_000);
  await answer(10_000);
  await first;
  await vi.advanceTimersByTimeAsync(38_900);
  expect(connection.open).toBe(true);
  await vi.advanceTimersByTimeAsync(200);
  expect(connection.open).toBe(false);
  await expect(second).rejects.toMatchObject({
    name: "BrokerUnavailableError",
    message: "kafka:9092: Any: no answer to Any within 30000 ms",
  });
});
