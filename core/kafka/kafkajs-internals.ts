/**
 * All that we take from kafkajs: the TCP or TLS connection, the SASL login, and the framing that
 * matches answers to requests by correlation id. None of it is public, so the version is pinned,
 * and the shape is checked before use. Everything else of kafkajs stays unused.
 *
 * Requests are handed to its queue directly instead of to its `send`, which copies each request
 * three times and yields between, so that two calls could overtake one another.
 */
import type { Socket } from "node:net";
import { Kafka, logLevel, type Mechanism, type SASLOptions } from "kafkajs";
import type { VersionRange } from "#core/kafka/protocol/api-versions.ts";
import type { TlsOptions } from "#core/kafka/tls-options.ts";
import type { Logger } from "#core/runtime.ts";

export interface TransportOptions {
  readonly clientId: string;
  /** Undefined for plain TCP. */
  readonly tls: TlsOptions | undefined;
  readonly sasl: SASLOptions | Mechanism | undefined;
  readonly connectTimeoutMs: number;
  readonly logger: Logger;
}

/** What kafkajs's request queue resolves with. */
interface QueuedAnswer {
  /** The response after its correlation id. */
  readonly payload: Buffer;
}

interface QueueEntry {
  readonly apiKey: number;
  readonly apiName: string;
  readonly apiVersion: number;
  readonly correlationId: number;
  resolve(answer: QueuedAnswer): void;
  reject(error: Error): void;
}

/** kafkajs/src/network/requestQueue/index.js */
interface RequestQueue {
  readonly pending: readonly unknown[];
  push(request: { entry: QueueEntry; expectResponse: boolean; sendRequest: () => void }): void;
  rejectAll(error: Error): void;
  destroy(): void;
  scheduleCheckPendingRequests(): void;
}

/** kafkajs/src/network/connection.js */
interface Connection {
  readonly requestQueue: RequestQueue;
  readonly socket: Socket | undefined;
  connect(): Promise<unknown>;
  setVersions(versions: Record<number, VersionRange>): void;
  setSupportAuthenticationProtocol(supported: boolean): void;
  authenticate(): Promise<void>;
  isAuthenticated(): boolean;
  isConnected(): boolean;
  nextCorrelationId(): number;
  /** Milliseconds that the broker gave the last login; 0 without an end. */
  readonly sessionLifetime: { toNumber(): number };
  /** `isAuthenticated` says no so many milliseconds before the end. */
  reauthenticationThreshold: number;
}

export type ConnectionFactory = (host: string, port: number) => Promise<KafkajsConnection>;

/**
 * A login is renewed before the broker's session ends (KIP-368): 10 s before, as kafkajs does it, but of
 * short sessions a share, as Kafka's own client does. With 10 s alone, a session of 10 s would be
 * renewed before every request, which brokers refuse when it is oftener than once a second.
 */
const renewalMarginMsMax = 10_000;
const renewalMarginShare = 0.15;

const createClusterSymbol = "private:Kafka:createCluster";

function missing(what: string): Error {
  return new Error(`kafkajs has no ${what}: this version works with kafkajs 2.2.4 only`);
}

function requireMethods(owner: string, value: unknown, names: readonly string[]): void {
  for (const name of names) {
    if (typeof (value as Record<string, unknown> | undefined)?.[name] !== "function") {
      throw missing(`${owner}.${name}()`);
    }
  }
}

/** Makes unconnected connections to any host and port under one set of credentials. */
export function connectionFactory(options: TransportOptions): ConnectionFactory {
  const kafka = new Kafka({
    // Every connection is made for a host that we name; these are never asked.
    brokers: ["unused:0"],
    clientId: options.clientId,
    ...(options.tls === undefined ? {} : { ssl: options.tls }),
    ...(options.sasl === undefined ? {} : { sasl: options.sasl }),
    connectionTimeout: options.connectTimeoutMs,
    // Its check polls every 100 ms; ours is a timer per request.
    enforceRequestTimeout: false,
    logLevel: logLevel.DEBUG,
    // Only these fields: answers in debug entries may hold what SASL exchanges.
    logCreator: () => (entry) => {
      const { message, broker, error } = entry.log as Record<string, unknown>;
      options.logger.debug(`kafkajs: ${String(message)}`, { broker, error });
    },
  });
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    (candidate) => candidate.description === createClusterSymbol,
  );
  if (symbol === undefined) throw missing(`symbol ${createClusterSymbol}`);
  const createCluster = Reflect.get(kafka, symbol) as (settings: object) => {
    connectionPoolBuilder: {
      build(at: { host: string; port: number }): Promise<{ pool: Connection[] }>;
    };
  };
  const { connectionPoolBuilder } = createCluster({});
  requireMethods("Cluster.connectionPoolBuilder", connectionPoolBuilder, ["build"]);
  return async (host, port) => {
    const { pool } = await connectionPoolBuilder.build({ host, port });
    const connection = pool?.[0];
    requireMethods("Connection", connection, [
      ...["connect", "setVersions", "setSupportAuthenticationProtocol", "authenticate"],
      ...["isAuthenticated", "isConnected", "nextCorrelationId"],
    ]);
    const queue = connection!.requestQueue;
    requireMethods("Connection.sessionLifetime", connection!.sessionLifetime, ["toNumber"]);
    if (typeof connection!.reauthenticationThreshold !== "number") {
      throw missing("Connection.reauthenticationThreshold");
    }
    requireMethods("RequestQueue", queue, [
      ...["push", "rejectAll", "destroy", "scheduleCheckPendingRequests"],
    ]);
    return new KafkajsConnection(connection!, options.sasl !== undefined);
  };
}

/** One connection, used once: when it is lost, make another. */
export class KafkajsConnection {
  readonly #connection: Connection;
  readonly #withLogin: boolean;
  /** Rejects when the connection is closed: kafkajs never settles some of what then waits. */
  readonly #closed: Promise<never>;
  readonly #rejectClosed: (reason: Error) => void;
  #closedBy: Error | undefined;

  constructor(connection: Connection, withLogin: boolean) {
    this.#connection = connection;
    this.#withLogin = withLogin;
    const closed = Promise.withResolvers<never>();
    closed.promise.catch(() => {});
    this.#closed = closed.promise;
    this.#rejectClosed = closed.reject;
    // Kafkajs arms a timer after every answer, with a negative delay that Node warns about, also
    // when nothing waits to be sent. Nothing ever does: we set no limit to requests in flight.
    const queue = connection.requestQueue;
    const schedule = queue.scheduleCheckPendingRequests;
    queue.scheduleCheckPendingRequests = () => {
      if (queue.pending.length > 0) schedule.call(queue);
    };
  }

  /** Opens the socket, with TLS where configured. Rejects with Node's or kafkajs's error. */
  async connect(): Promise<void> {
    const connecting = this.#connection.connect();
    const { socket } = this.#connection;
    let failure: Error | undefined;
    socket?.once("error", (error) => {
      failure = error;
    });
    const lost = () => this.destroy(failure ?? new Error("the other side closed the connection"));
    // Not at "close" alone: by then kafkajs has told a login that was cut off as a refused one.
    socket?.once("end", lost).once("close", lost);
    await Promise.race([connecting, this.#closed]);
  }

  /** SASL login under the broker's version ranges; nothing where no login is configured. */
  async login(versions: ReadonlyMap<number, VersionRange>): Promise<void> {
    this.#connection.setVersions(Object.fromEntries(versions));
    this.#connection.setSupportAuthenticationProtocol(true);
    await this.loginAgain();
  }

  /** Why it was closed, or undefined while it is open. */
  get closedBy(): Error | undefined {
    return this.#closedBy;
  }

  /** Whether the login has to be repeated before the next request (KIP-368). */
  get loginExpired(): boolean {
    return this.#withLogin && !this.#connection.isAuthenticated();
  }

  async loginAgain(): Promise<void> {
    await Promise.race([this.#connection.authenticate(), this.#closed]);
    const lifetimeMs = this.#connection.sessionLifetime.toNumber();
    this.#connection.reauthenticationThreshold = Math.min(
      renewalMarginMsMax,
      Math.ceil(lifetimeMs * renewalMarginShare),
    );
  }

  /**
   * Writes a request at once: calls reach the broker in call order. `frame` gets the correlation
   * id and returns the whole request. Resolves with the response after its correlation id.
   */
  send(
    api: { readonly key: number; readonly name: string; readonly version: number },
    frame: (correlationId: number) => readonly Buffer[],
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const { socket } = this.#connection;
      if (this.#closedBy !== undefined || socket === undefined || !this.#connection.isConnected()) {
        reject(this.#closedBy ?? new Error("the connection is closed"));
        return;
      }
      const correlationId = this.#connection.nextCorrelationId();
      const entry: QueueEntry = {
        apiKey: api.key,
        apiName: api.name,
        apiVersion: api.version,
        correlationId,
        resolve: (answer) => resolve(answer.payload),
        reject,
      };
      const sendRequest = () => {
        socket.cork();
        for (const buffer of frame(correlationId)) socket.write(buffer);
        socket.uncork();
      };
      this.#connection.requestQueue.push({ entry, expectResponse: true, sendRequest });
    });
  }

  /** Drops the socket with all that it has not sent, and rejects what waits for an answer. */
  destroy(reason: Error): void {
    if (this.#closedBy !== undefined) return;
    this.#closedBy = reason;
    this.#connection.socket?.destroy();
    this.#connection.requestQueue.rejectAll(reason);
    this.#connection.requestQueue.destroy();
    this.#rejectClosed(reason);
  }
}
