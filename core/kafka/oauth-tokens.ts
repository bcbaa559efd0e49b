/**
 * Access tokens for SASL/OAUTHBEARER: from a token endpoint by client credentials (RFC 6749, section
 * 4.4), or from a file that somebody else keeps fresh, such as the kubelet (KIP-768, KIP-1139).
 */
import { readFile } from "node:fs/promises";
import { type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { getCACertificates } from "node:tls";
import { BackupError } from "#core/errors.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { certificateCodes } from "#core/kafka/connect-error.ts";
import type { Clock } from "#core/runtime.ts";

/** Less than `connectTimeoutMs`, so that it is the endpoint that is named when it hangs. */
const endpointTimeoutMs = 8_000;
/** Far more than any token: brokers take 512 KiB (sasl.server.max.receive.size). */
const answerBytesMax = 512 * 1024;
/** Of a token's lifetime: what is older is asked for anew, as by sasl.login.refresh.window.factor. */
const freshShare = 0.8;
const descriptionLengthMax = 200;

/** RFC 6750, section 2.1: `b64token`. */
const tokenPattern = /^[A-Za-z0-9\-._~+/]+=*$/;

/**
 * Asked at each login. Tokens of an endpoint are shared by all logins of a cluster while they are
 * fresh; a file is read each time. Throws InvalidRequestError where the configuration names
 * neither; the function throws AccessDeniedError for credentials that the endpoint refuses and for
 * what is no token, and BrokerUnavailableError for what another attempt may cure.
 */
export function oauthTokens(config: ClusterConfig, clock: Clock): () => Promise<string> {
  const {
    sasl_oauthbearer_token_file: file,
    sasl_oauthbearer_token_endpoint_url: url,
    sasl_oauthbearer_client_id: clientId,
    sasl_oauthbearer_client_secret: clientSecret,
  } = config;
  if (file !== undefined) return () => tokenInFile(file);
  if (url === undefined || clientId === undefined || clientSecret === undefined) {
    throw new BackupError(
      "InvalidRequestError",
      "OAUTHBEARER needs sasl_oauthbearer_token_file, or sasl_oauthbearer_token_endpoint_url, " +
        "sasl_oauthbearer_client_id and sasl_oauthbearer_client_secret",
    );
  }
  const request: TokenRequest = {
    url: new URL(url),
    clientId,
    clientSecret,
    scope: config.sasl_oauthbearer_scope,
    audience: config.sasl_oauthbearer_audience,
    ca: config.ssl_ca,
  };
  return keptWhileFresh(() => requestToken(request), clock);
}

interface TokenRequest {
  readonly url: URL;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string | undefined;
  readonly audience: string | undefined;
  /** PEM: an authority beside those that Node trusts. */
  readonly ca: string | undefined;
}

interface IssuedToken {
  readonly token: string;
  /** Undefined where the endpoint does not say. */
  readonly lifetimeMs: number | undefined;
}

/** One request at a time, whoever asks; a token without a lifetime is for those who waited. */
function keptWhileFresh(issue: () => Promise<IssuedToken>, clock: Clock): () => Promise<string> {
  let kept: { token: string; untilMs: number } | undefined;
  let asking: Promise<string> | undefined;
  return async () => {
    if (kept !== undefined && clock.monotonicMs() < kept.untilMs) return kept.token;
    asking ??= (async () => {
      try {
        const askedAtMs = clock.monotonicMs();
        const { token, lifetimeMs = 0 } = await issue();
        kept = { token, untilMs: askedAtMs + lifetimeMs * freshShare };
        return token;
      } finally {
        asking = undefined;
      }
    })();
    return asking;
  };
}

async function tokenInFile(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? (cause as Error).name;
    throw new BackupError("AccessDeniedError", `token file ${file} cannot be read: ${code}`, {
      cause,
      hint: "Correct sasl_oauthbearer_token_file, or mount the token.",
    });
  }
  const token = text.trim();
  if (tokenPattern.test(token)) return token;
  throw new BackupError("AccessDeniedError", `token file ${file} holds no token`, {
    hint: "The file of sasl_oauthbearer_token_file holds one token and nothing else.",
  });
}

/**
 *   POST /token
 *   Authorization: Basic base64(urlencoded(client_id) ":" urlencoded(client_secret))
 *
 *   grant_type=client_credentials[&scope=…][&audience=…]
 *
 * The answer is JSON: access_token, expires_in in seconds, or error and error_description
 * (sections 2.3.1, 5.1 and 5.2).
 */
async function requestToken(request: TokenRequest): Promise<IssuedToken> {
  const { clientId, clientSecret, scope, audience } = request;
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  if (scope !== undefined) form.set("scope", scope);
  if (audience !== undefined) form.set("audience", audience);
  const credentials = `${formEncoded(clientId)}:${formEncoded(clientSecret)}`;
  const { status, body } = await post(request, form.toString(), {
    accept: "application/json",
    authorization: `Basic ${Buffer.from(credentials).toString("base64")}`,
    "content-type": "application/x-www-form-urlencoded",
  });
  if (status !== 200) throw refusal(request, status, body);
  const { access_token, expires_in } = jsonObject(body);
  if (typeof access_token !== "string" || !tokenPattern.test(access_token)) {
    throw new BackupError(
      "AccessDeniedError",
      `${endpointText(request)} answered 200 without a token`,
      { hint: "Check that sasl_oauthbearer_token_endpoint_url is the issuer's token endpoint." },
    );
  }
  const seconds = Number(expires_in);
  return { token: access_token, lifetimeMs: seconds > 0 ? seconds * 1_000 : undefined };
}

function formEncoded(text: string): string {
  return new URLSearchParams({ "": text }).toString().slice(1);
}

async function post(
  request: TokenRequest,
  body: string,
  headers: Record<string, string>,
): Promise<{ status: number; body: string }> {
  const { url, ca } = request;
  const open = url.protocol === "http:" ? requestHttp : requestHttps;
  const signal = AbortSignal.timeout(endpointTimeoutMs);
  try {
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const trusted = ca === undefined ? {} : { ca: [...getCACertificates("default"), ca] };
      // No agent: the next token is wanted long after a kept connection would be closed.
      const sent = open(url, { method: "POST", headers, signal, agent: false, ...trusted });
      sent.once("response", resolve);
      sent.once("error", reject);
      sent.end(body);
    });
    return { status: answer.statusCode ?? 0, body: await boundedText(answer) };
  } catch (cause) {
    throw connectionError(request, cause as NodeJS.ErrnoException, signal.aborted);
  }
}

async function boundedText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`its answer has more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function connectionError(
  request: TokenRequest,
  cause: NodeJS.ErrnoException,
  isLate: boolean,
): BackupError {
  const { code, message } = cause;
  if (code !== undefined && certificateCodes.has(code)) {
    return new BackupError(
      "AccessDeniedError",
      `the certificate of ${endpointText(request)} is not accepted: ${message} (${code})`,
      { cause, hint: "Add the authority that signed it to the file of ssl_ca_location." },
    );
  }
  const why = isLate ? `no answer within ${endpointTimeoutMs / 1000} s` : message || code;
  return new BackupError(
    "BrokerUnavailableError",
    `${endpointText(request)} cannot be reached: ${why}`,
    {
      cause,
      hint: "Check sasl_oauthbearer_token_endpoint_url, and the way from here to its host.",
    },
  );
}

/** RFC 6749, section 5.2. What passes by itself: too many requests, and the server's own faults. */
function refusal(request: TokenRequest, status: number, body: string): BackupError {
  const isPassing = status === 408 || status === 429 || status >= 500;
  const { error, error_description } = jsonObject(body);
  const words = [error, error_description]
    .filter((word) => typeof word === "string" && /^[\x20-\x7e]+$/.test(word))
    .map(String)
    .filter((word) => !word.includes(request.clientSecret))
    .map((word) => word.slice(0, descriptionLengthMax));
  const reason = words.length === 0 ? "" : ` (${words.join(": ")})`;
  return new BackupError(
    isPassing ? "BrokerUnavailableError" : "AccessDeniedError",
    `${endpointText(request)} gave client "${request.clientId}" no token: HTTP ${status}${reason}`,
    { hint: isPassing ? "Look at the state of the token's issuer." : hintFor(status) },
  );
}

function hintFor(status: number): string {
  if (status === 400 || status === 401 || status === 403) {
    return "Check sasl_oauthbearer_client_id, sasl_oauthbearer_client_secret and sasl_oauthbearer_scope.";
  }
  return "Check that sasl_oauthbearer_token_endpoint_url is the issuer's token endpoint.";
}

/** Without what may stand in a query. */
function endpointText({ url }: TokenRequest): string {
  return `token endpoint ${url.origin}${url.pathname}`;
}

function jsonObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
