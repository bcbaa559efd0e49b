/** The open connections to a cluster's brokers, made when first used and made again when lost. */
import { type ServiceWatch, unwatched } from "#core/circuit-breaker.ts";
import { BackupError } from "#core/errors.ts";
import {
  addressOf,
  type BrokerAddress,
  type BrokerConnection,
  type LoginIdentity,
  openBrokerConnection,
  requestTimeoutMs,
} from "#core/kafka/broker-connection.ts";
import type { ConnectionFactory } from "#core/kafka/kafkajs-internals.ts";
import type { Api } from "#core/kafka/protocol/wire.ts";
import type { Clock, Logger } from "#core/runtime.ts";

/**
 * A broker works on one request of a connection at a time, so a fetch that waits for records or a
 * produce that waits for replicas holds up all behind it. Each lane is a connection of its own.
 */
export type Lane = "admin" | `fetch-${number}` | `produce-${number}`;

export interface ConnectionsDeps {
  readonly make: ConnectionFactory;
  readonly identity: LoginIdentity;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Is told of each answer of a broker, and of each failure to get one. */
  readonly watch?: ServiceWatch | undefined;
}

export class BrokerConnections {
  readonly watch: ServiceWatch;
  readonly #deps: ConnectionsDeps;
  readonly #connections = new Map<string, Promise<BrokerConnection>>();
  /** Those of them that have been opened. */
  readonly #opened = new Map<string, BrokerConnection>();
  /** By broker: no request before this monotonic time (KIP-219). */
  readonly #throttledUntilMs = new Map<string, number>();
  #throttledMs = 0;
  readonly #closing = new AbortController();

  constructor(deps: ConnectionsDeps) {
    this.#deps = deps;
    this.watch = deps.watch ?? unwatched;
  }

  /** Aborts when `close` is called. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /**
   * A connection that is open, logged in, and past the broker's throttling. A login that cannot be
   * renewed where it is (brokers refuse it oftener than once a second) is made on a new connection.
   */
  async ready(address: BrokerAddress, lane: Lane): Promise<BrokerConnection> {
    await this.#waitOutThrottle(addressOf(address));
    const connection = await this.#get(address, lane);
    try {
      await connection.ready();
      return connection;
    } catch (error) {
      this.#deps.logger.debug("a login is made anew", { error: (error as Error).message });
      return this.#get(address, lane);
    }
  }

  async call<Request, Response extends { readonly throttleTimeMs: number }>(
    address: BrokerAddress,
    lane: Lane,
    api: Api<Request, Response>,
    request: Request,
    timeoutMs = requestTimeoutMs,
  ): Promise<Response> {
    const connection = await this.ready(address, lane);
    return this.send(connection, api, request, timeoutMs);
  }

  /** Sends on a ready connection, synchronously. */
  async send<Request, Response extends { readonly throttleTimeMs: number }>(
    connection: BrokerConnection,
    api: Api<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<Response> {
    const onSilence = () => this.#dropIdle(connection.address);
    const response = await this.#watched(connection.call(api, request, timeoutMs, onSilence));
    this.watch.answered();
    if (response.throttleTimeMs > 0) this.#throttle(connection.address, response.throttleTimeMs);
    return response;
  }

  /** How long brokers have held requests back so far (KIP-219): the sum over the brokers. */
  get throttledMs(): number {
    return this.#throttledMs;
  }

  /** Destroys every socket: nothing that is queued leaves the process afterwards. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(closedError());
    const connections = [...this.#connections.values()];
    this.#connections.clear();
    const settled = await Promise.allSettled(connections);
    for (const result of settled) if (result.status === "fulfilled") result.value.destroy();
  }

  async #get(address: BrokerAddress, lane: Lane): Promise<BrokerConnection> {
    const key = `${addressOf(address)} ${lane}`;
    for (;;) {
      this.#closing.signal.throwIfAborted();
      const known = this.#connections.get(key);
      if (known === undefined) break;
      const connection = await known;
      if (connection.open) return connection;
      if (this.#connections.get(key) === known) this.#connections.delete(key);
    }
    const { make, identity } = this.#deps;
    const opening = this.#watched(openBrokerConnection(make, identity, address, this.signal));
    this.#connections.set(key, opening);
    opening.then(
      (connection) => this.#opened.set(key, connection),
      () => {
        if (this.#connections.get(key) === opening) this.#connections.delete(key);
      },
    );
    return opening;
  }

  /**
   * A broker that does not answer on one connection may have been forgotten on all of them by a
   * gateway on the way, which closes none. Those that nothing waits for are made anew when they
   * are needed: else each of them would cost its next request all of the time that it has.
   */
  #dropIdle(address: string): void {
    for (const connection of this.#opened.values()) {
      if (connection.address !== address || !connection.idle) continue;
      connection.destroy("another connection to the broker had no answer");
    }
  }

  async #watched<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      this.watch.failed(error);
      throw error;
    }
  }

  /** Answers on several connections throttle for one and the same time. */
  #throttle(address: string, ms: number): void {
    if (this.#throttledMs === 0) {
      this.#deps.logger.warn(
        `broker ${address} throttles this client by a quota of the cluster; ` +
          "requests wait as long as brokers say",
        { broker: address, throttle_ms: ms },
      );
    }
    const nowMs = this.#deps.clock.monotonicMs();
    const beforeMs = Math.max(nowMs, this.#throttledUntilMs.get(address) ?? 0);
    const untilMs = Math.max(beforeMs, nowMs + ms);
    this.#throttledUntilMs.set(address, untilMs);
    this.#throttledMs += untilMs - beforeMs;
  }

  async #waitOutThrottle(address: string): Promise<void> {
    const { clock } = this.#deps;
    for (;;) {
      const waitMs = (this.#throttledUntilMs.get(address) ?? 0) - clock.monotonicMs();
      if (waitMs <= 0) return;
      await clock.sleep(waitMs, this.signal);
    }
  }
}

function closedError(): BackupError {
  return new BackupError("BrokerUnavailableError", "the connection to the cluster was closed");
}
