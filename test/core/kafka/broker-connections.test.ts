/** Connections that a gateway on the way has forgotten: nothing comes, and nobody closes them. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BrokerConnections, type Lane } from "#core/kafka/broker-connections.ts";
import type { KafkajsConnection } from "#core/kafka/kafkajs-internals.ts";
import { apiVersions } from "#core/kafka/protocol/api-versions.ts";
import { type Api, WireWriter } from "#core/kafka/protocol/wire.ts";
import { silentLogger } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";

const api: Api<undefined, { readonly throttleTimeMs: number }> = {
  ...{ name: "Any", key: 0, version: 0, flexible: false },
  encode() {},
  decode: (reader) => ({ throttleTimeMs: reader.int32() }),
};
const one = { host: "one", port: 9092 };
const other = { host: "other", port: 9092 };

/** Brokers that answer at once, on connections that have not been forgotten. */
function brokers() {
  const open = new Set<object>();
  const forgotten = new Set<object>();
  let opened = 0;
  const make = async () => {
    opened += 1;
    let closedBy: Error | undefined;
    let reject = (_: Error) => {};
    const raw: Pick<
      KafkajsConnection,
      "connect" | "send" | "destroy" | "closedBy" | "loginExpired"
    > = {
      get closedBy() {
        return closedBy;
      },
      loginExpired: false,
      connect: async () => {
        open.add(raw);
      },
      async send({ key }) {
        if (!forgotten.has(raw)) return key === apiVersions.key ? versions() : Buffer.alloc(4);
        const never = Promise.withResolvers<Buffer>();
        reject = never.reject;
        return never.promise;
      },
      destroy(reason) {
        closedBy = reason;
        reject(reason);
      },
    };
    return raw as KafkajsConnection;
  };
  const identity = { clientId: "client", login: undefined, withTls: false };
  const deps = { make, identity, clock: systemClock, logger: silentLogger };
  return {
    connections: new BrokerConnections(deps),
    opened: () => opened,
    forget() {
      for (const raw of open) forgotten.add(raw);
    },
  };
}

/** That the broker knows the one API, in its one version. */
function versions(): Buffer {
  const answer = new WireWriter().int16(0).int32(1).int16(0).int16(0).int16(0);
  return Buffer.concat([...answer.buffers()]);
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test("K4 one request finds out that all connections to a broker are dead", async () => {
  const { connections, opened, forget } = brokers();
  const ask = (lane: Lane, at = one) => connections.call(at, lane, api, undefined);
  await Promise.all([ask("admin"), ask("fetch-0"), ask("fetch-1"), ask("admin", other)]);
  expect(opened()).toBe(4);
  forget();
  const lost = ask("fetch-0");
  lost.catch(() => {});
  await vi.advanceTimersByTimeAsync(30_000);
  await expect(lost).rejects.toMatchObject({ name: "BrokerUnavailableError" });
  // No time passes.
  await Promise.all([ask("admin"), ask("fetch-0"), ask("fetch-1")]);
  expect(opened()).toBe(7);
  await connections.close();
});

test("K4 connections on which an answer may still come, or to another broker, are kept", async () => {
  const { connections, opened, forget } = brokers();
  const ask = (lane: Lane, at = one) => connections.call(at, lane, api, undefined);
  await Promise.all([ask("fetch-0"), ask("fetch-1")]);
  forget();
  await ask("admin", other);
  const first = ask("fetch-0");
  const later = vi.fn();
  await vi.advanceTimersByTimeAsync(10_000);
  const second = ask("fetch-1").catch(later);
  first.catch(() => {});
  await vi.advanceTimersByTimeAsync(20_000);
  await expect(first).rejects.toThrow(/no answer to Any within 30000 ms$/);
  expect(later).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(10_000);
  await second;
  expect(later).toHaveBeenCalledOnce();
  await ask("admin", other);
  expect(opened()).toBe(3);
  await connections.close();
});
