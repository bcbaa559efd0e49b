/** One connection to one broker: opened, logged in, and asked in the versions that we speak. */
import { BackupError } from "#core/errors.ts";
import { connectError } from "#core/kafka/connect-error.ts";
import { kafkaError } from "#core/kafka/kafka-errors.ts";
import type { ConnectionFactory, KafkajsConnection } from "#core/kafka/kafkajs-internals.ts";
import { apiVersions, type VersionRange } from "#core/kafka/protocol/api-versions.ts";
import { type Api, WireReader, WireWriter } from "#core/kafka/protocol/wire.ts";

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

export interface LoginIdentity {
  readonly clientId: string;
  /** For messages: `SASL PLAIN as user "alice"`; undefined without a login. */
  readonly login: string | undefined;
  /** What to do where the broker refuses it. */
  readonly loginHint?: string;
  readonly withTls: boolean;
}

/** TCP, TLS, ApiVersions and SASL together. */
export const connectTimeoutMs = 10_000;
/** Kafka's request.timeout.ms: how long a broker may take beyond what it was told to wait. */
export const requestTimeoutMs = 30_000;

/** A broker reads the new login when it has answered what is in flight, which may take as long. */
const renewalTimeoutMs = requestTimeoutMs + connectTimeoutMs;

export function addressOf({ host, port }: BrokerAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * Opens a connection. Throws AccessDeniedError for a refused login or certificate, and
 * BrokerUnavailableError for all that another attempt may cure.
 */
export async function openBrokerConnection(
  make: ConnectionFactory,
  identity: LoginIdentity,
  address: BrokerAddress,
  signal: AbortSignal,
  timeoutMs = connectTimeoutMs,
): Promise<BrokerConnection> {
  const raw = await make(address.host, address.port);
  const abort = () => raw.destroy(signal.reason);
  signal.addEventListener("abort", abort);
  const timer = setTimeout(() => {
    raw.destroy(new Error(`no connection and login within ${timeoutMs / 1000} s`));
  }, timeoutMs);
  const at = addressOf(address);
  let step: "connect" | "versions" | "login" = "connect";
  try {
    signal.throwIfAborted();
    await raw.connect();
    step = "versions";
    const answer = await roundTrip(raw, identity.clientId, apiVersions, undefined);
    const { errorCode, ranges } = answer;
    if (errorCode !== 0) throw kafkaError({ code: errorCode, what: `ApiVersions of ${at}` });
    step = "login";
    if (identity.login !== undefined) await raw.login(ranges);
    return new BrokerConnection(raw, identity.clientId, at, ranges);
  } catch (error) {
    const failure = connectError(error, step, identity, at);
    raw.destroy(failure);
    throw failure;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

export class BrokerConnection {
  readonly address: string;
  readonly #raw: KafkajsConnection;
  readonly #clientId: string;
  readonly #versions: ReadonlyMap<number, VersionRange>;
  /** All throttle times that were answered on this connection (KIP-219). */
  #throttledMs = 0;
  #inFlight = 0;

  constructor(
    raw: KafkajsConnection,
    clientId: string,
    address: string,
    versions: ReadonlyMap<number, VersionRange>,
  ) {
    this.#raw = raw;
    this.#clientId = clientId;
    this.address = address;
    this.#versions = versions;
  }

  get open(): boolean {
    return this.#raw.closedBy === undefined;
  }

  /** Whether no answer is waited for. */
  get idle(): boolean {
    return this.#inFlight === 0;
  }

  /** Whether the broker answers the API in the version that we speak. */
  knows({ key, version }: { key: number; version: number }): boolean {
    const range = this.#versions.get(key);
    return range !== undefined && range.minVersion <= version && version <= range.maxVersion;
  }

  /** Resolves when requests may be sent; immediately unless the login's lifetime is over. */
  async ready(): Promise<void> {
    if (!this.#raw.loginExpired) return;
    const timer = setTimeout(() => {
      this.#raw.destroy(new Error(`no login within ${renewalTimeoutMs / 1000} s`));
    }, renewalTimeoutMs);
    try {
      await this.#raw.loginAgain();
    } catch (error) {
      this.#raw.destroy(error as Error);
      throw this.#lost("the login could not be renewed", error);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Sends one request, synchronously, and resolves with its decoded answer. No answer within
   * `timeoutMs` drops the connection with all that is in flight on it: their fate is unknown. A
   * broker that throttles leaves unread what is in flight behind its answer, for the time that it
   * says; that time does not count. `onSilence` is called before the connection is dropped for want
   * of an answer.
   */
  async call<Request, Response extends { readonly throttleTimeMs: number }>(
    api: Api<Request, Response>,
    request: Request,
    timeoutMs: number,
    onSilence: () => void = () => {},
  ): Promise<Response> {
    this.#checkVersion(api);
    let timer: NodeJS.Timeout;
    const waitFor = (ms: number) => {
      const throttledMs = this.#throttledMs;
      timer = setTimeout(() => {
        const sinceMs = this.#throttledMs - throttledMs;
        if (sinceMs > 0) return waitFor(sinceMs);
        onSilence();
        this.#raw.destroy(new Error(`no answer to ${api.name} within ${timeoutMs} ms`));
      }, ms);
    };
    waitFor(timeoutMs);
    this.#inFlight += 1;
    try {
      const response = await roundTrip(this.#raw, this.#clientId, api, request);
      this.#throttledMs += response.throttleTimeMs;
      return response;
    } catch (error) {
      if (!(error instanceof RangeError)) throw this.#lost(api.name, error);
      const damaged = new Error(`unreadable answer: ${error.message}`);
      this.#raw.destroy(damaged);
      throw this.#lost(api.name, damaged);
    } finally {
      this.#inFlight -= 1;
      clearTimeout(timer!);
    }
  }

  destroy(reason = "disconnected"): void {
    this.#raw.destroy(new Error(reason));
  }

  #lost(what: string, cause: unknown): BackupError {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new BackupError("BrokerUnavailableError", `${this.address}: ${what}: ${reason}`, {
      cause,
      details: { broker: this.address },
    });
  }

  #checkVersion(api: { name: string; key: number; version: number }): void {
    if (this.knows(api)) return;
    const range = this.#versions.get(api.key);
    const speaks = range ? `versions ${range.minVersion} to ${range.maxVersion}` : "no version";
    throw new BackupError(
      "InvalidRequestError",
      `${this.address} knows ${speaks} of ${api.name}; version ${api.version} is needed`,
      { hint: "Kafka 2.8 to 4.2 are supported; update the broker or kafka-backup." },
    );
  }
}

async function roundTrip<Request, Response extends { readonly throttleTimeMs: number }>(
  raw: KafkajsConnection,
  clientId: string,
  api: Api<Request, Response>,
  request: Request,
): Promise<Response> {
  const body = new WireWriter();
  api.encode(request, body);
  const answer = await raw.send(api, (correlationId) => [
    ...requestHeader(api, correlationId, clientId, body.size),
    ...body.buffers(),
  ]);
  const reader = new WireReader(answer);
  if (api.flexible) reader.taggedFields();
  return api.decode(reader);
}

/**
 *   Request => size request_header_v1_or_v2 body
 *     size => INT32
 *     request_api_key, request_api_version => INT16
 *     correlation_id => INT32
 *     client_id => NULLABLE_STRING
 *     TAG_BUFFER                       (flexible versions: header version 2)
 */
function requestHeader(
  api: { key: number; version: number; flexible: boolean },
  correlationId: number,
  clientId: string,
  bodyBytes: number,
): Buffer[] {
  // Key, version, correlation id, the client id's length and bytes, and no tagged fields.
  const headerBytes = 2 + 2 + 4 + 2 + Buffer.byteLength(clientId) + (api.flexible ? 1 : 0);
  const header = new WireWriter().int32(headerBytes + bodyBytes);
  header.int16(api.key).int16(api.version).int32(correlationId).nullableString(clientId);
  if (api.flexible) header.noTaggedFields();
  return header.buffers();
}
