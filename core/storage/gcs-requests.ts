/**
 * Requests to the JSON API of Google Cloud Storage
 * (https://cloud.google.com/storage/docs/json_api/v1): credentials, time limits and errors.
 *
 * Google's auth library finds the credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud's login, a
 * workload's federation, the metadata server) and keeps tokens fresh. The requests themselves are
 * a handful and made here: docs/adr/0009-other-stores.md says why.
 */
import { GoogleAuth } from "google-auth-library";
import { BackupError, type ErrorName } from "#core/errors.ts";
import { IdleLimit, idleMs } from "#core/storage/time-limit.ts";

const scope = "https://www.googleapis.com/auth/devstorage.read_write";

export interface GcsRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Absolute, or from the service's root on. */
  readonly url: string;
  /** What is undefined stays out. */
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer> | string | undefined;
  readonly signal?: AbortSignal;
  /** Statuses beside 2xx that are an answer and not an error. */
  readonly expected?: readonly number[];
}

/** The body has been read. */
export interface GcsAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

export type SendGcs = (verb: string, key: string, request: GcsRequest) => Promise<GcsAnswer>;

export interface GcsService {
  /** `https://storage.googleapis.com` unless given; without a slash at its end. */
  readonly endpoint: string;
  readonly isAnonymous: boolean;
  /** Where the storage is rooted, for messages. */
  readonly storageUrl: string;
}

/** Throws what `StorageBackend` says, with Google's reason and the key in the message. */
export function gcsRequests({ endpoint, isAnonymous, storageUrl }: GcsService): SendGcs {
  const auth = isAnonymous ? undefined : new GoogleAuth({ scopes: [scope] });
  return async (verb, key, request) => {
    const where = `${key === "" ? storageUrl : `${storageUrl}: ${key}`}: cannot ${verb}`;
    const answer = await attempt(where, async () => {
      const headers = new Headers(await credentials(auth, where));
      for (const [name, value] of Object.entries(request.headers ?? {})) headers.set(name, value);
      return exchange(new URL(withQuery(request), endpoint), headers, request);
    });
    const isExpected = request.expected?.includes(answer.status) ?? false;
    if ((answer.status >= 200 && answer.status < 300) || isExpected) return answer;
    throw refusal(where, answer);
  };
}

async function exchange(url: URL, headers: Headers, request: GcsRequest): Promise<GcsAnswer> {
  const { method, body = null } = request;
  const limit = new IdleLimit(body?.length);
  const signals = request.signal === undefined ? [] : [request.signal];
  const signal = AbortSignal.any([...signals, limit.signal]);
  try {
    // 308 is how a resumable upload says that it goes on.
    const response = await fetch(url, { method, headers, body, redirect: "manual", signal });
    const pieces: Uint8Array[] = [];
    for await (const piece of response.body ?? []) {
      limit.moved();
      pieces.push(piece);
    }
    return { status: response.status, headers: response.headers, body: Buffer.concat(pieces) };
  } finally {
    limit.end();
  }
}

async function credentials(auth: GoogleAuth | undefined, where: string): Promise<Headers> {
  if (auth === undefined) return new Headers();
  try {
    return await inTime(auth.getRequestHeaders());
  } catch (error) {
    if (isOfNetwork(error)) throw error;
    // The library's messages name files and hosts, never keys.
    const reason = error instanceof Error ? error.message.slice(0, reasonLengthMax) : "";
    const status = statusOf(error);
    if (status !== undefined && isPassing(status)) {
      const what = `no credentials now: HTTP ${status} (${reason})`;
      throw new BackupError(nameOf(status), `${where}: ${what}`, { cause: error });
    }
    throw new BackupError("AccessDeniedError", `${where}: no credentials (${reason})`, {
      cause: error,
      hint: "Set GOOGLE_APPLICATION_CREDENTIALS, log in with gcloud, or run under a service account.",
    });
  }
}

/** The library waits for a token without end. */
function inTime<T>(work: Promise<T>): Promise<T> {
  const limit = AbortSignal.timeout(idleMs);
  const expired = new Promise<never>((_, reject) => {
    limit.addEventListener("abort", () => reject(limit.reason), { once: true });
  });
  return Promise.race([work, expired]);
}

/** Of what the library throws when it was answered. */
function statusOf(error: unknown): number | undefined {
  const { status, response } = error as { status?: unknown; response?: { status?: unknown } };
  const found = status ?? response?.status;
  return typeof found === "number" ? found : undefined;
}

function withQuery({ url, query = {} }: GcsRequest): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  if (given.length === 0) return url;
  return `${url}${url.includes("?") ? "&" : "?"}${new URLSearchParams(given as [string, string][])}`;
}

/** Translates what the way to the service threw. */
async function attempt<T>(where: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof BackupError || !isOfNetwork(error)) throw error;
    throw new BackupError("StorageUnavailableError", `${where}: ${networkCode(error)}`, {
      cause: error,
    });
  }
}

/** What a name, a connection or undici answers with; files have other codes. */
const networkCodes = /^(ECONN|ENOTFOUND|EAI_|EPIPE|ETIMEDOUT|EHOST|ENET|UND_ERR_|CERT_|ERR_TLS)/;

/** `fetch` throws a TypeError whose cause bears Node's code, or the time limit's error. */
function isOfNetwork(error: unknown): error is Error {
  if (!(error instanceof Error)) return false;
  if (error.name === "TimeoutError" || error.name === "AbortError") return true;
  return networkCodes.test(networkCode(error));
}

function networkCode(error: Error): string {
  const cause = error.cause as { code?: unknown } | undefined;
  const code = cause?.code ?? (error as { code?: unknown }).code;
  return typeof code === "string" ? code : error.name;
}

const reasonLengthMax = 200;

/** Reasons whose HTTP status says too little. */
const namesByReason: Readonly<Record<string, ErrorName>> = {
  rateLimitExceeded: "ThrottledError",
  userRateLimitExceeded: "ThrottledError",
  // The checksum that came with the request is not that of its bytes.
  invalidChecksum: "StorageUnavailableError",
};

const hintsByStatus: Readonly<Record<number, string>> = {
  401: "Set GOOGLE_APPLICATION_CREDENTIALS, log in with gcloud, or run under a service account.",
  403: "Grant roles/storage.objectAdmin, or objectViewer for reading, on the bucket.",
};

interface Refusal {
  readonly message?: string;
  readonly errors?: readonly { readonly reason?: string }[];
}

function refusal(where: string, { status, body }: GcsAnswer): BackupError {
  const { message, errors } = refusalOf(body);
  const reason = errors?.[0]?.reason ?? "";
  const isBucket = status === 404 && /bucket/i.test(message ?? "");
  const name = namesByReason[reason] ?? (isBucket ? "InvalidRequestError" : nameOf(status));
  const what = reason === "" ? `HTTP ${status}` : `HTTP ${status} ${reason}`;
  const text = (message ?? "").replace(/\s+/g, " ").trim().slice(0, reasonLengthMax);
  const hint = isBucket
    ? "Create the bucket, or correct storage.bucket and endpoint."
    : hintsByStatus[status];
  return new BackupError(name, `${where}: ${what}${text === "" ? "" : ` (${text})`}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { status },
  });
}

/** The `error` of an answer; an answer of another shape has none. */
function refusalOf(body: Buffer): Refusal {
  try {
    const parsed: unknown = JSON.parse(body.toString());
    const error = (parsed as { error?: unknown } | null)?.error;
    return typeof error === "object" && error !== null ? error : {};
  } catch {
    return {};
  }
}

function nameOf(status: number): ErrorName {
  if (status === 401 || status === 403) return "AccessDeniedError";
  if (status === 404) return "ObjectNotFoundError";
  if (status === 429) return "ThrottledError";
  return isPassing(status) ? "StorageUnavailableError" : "InvalidRequestError";
}

/** What a pause may mend. */
function isPassing(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}
