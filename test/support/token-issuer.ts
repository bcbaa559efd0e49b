/** An issuer of access tokens: it signs JSON Web Tokens, and hands them out at an endpoint. */
import { createSign, generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { IssuedCertificate } from "#local/kafka-certificates.ts";
import type { TokenIssuer } from "#local/kafka-listeners.ts";
import { freePort } from "#local/processes.ts";

export interface TokenRequestSeen {
  readonly clientId: string;
  readonly form: Readonly<Record<string, string>>;
}

export interface TestTokenIssuer extends TokenIssuer {
  /** A token of this issuer for the listener's audience, unless `claims` say otherwise. */
  token(claims?: Readonly<Record<string, unknown>>): string;
  /** Opens an endpoint for these clients' credentials; with TLS where it has a certificate. */
  endpoint(options: EndpointOptions): Promise<TokenEndpoint>;
  remove(): Promise<void>;
}

export interface EndpointOptions {
  readonly clients: Readonly<Record<string, string>>;
  readonly lifetimeSeconds?: number;
  readonly certificate?: IssuedCertificate;
}

export interface TokenEndpoint {
  readonly url: string;
  readonly requests: readonly TokenRequestSeen[];
  stop(): Promise<void>;
}

const lifetimeSecondsDefault = 600;

export async function makeTokenIssuer(): Promise<TestTokenIssuer> {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-tokens-"));
  const jwksFile = join(folder, "jwks.json");
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = "test";
  const jwk = { ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" };
  await writeFile(jwksFile, JSON.stringify({ keys: [jwk] }));
  const [issuer, audience] = ["https://issuer.example", "kafka"];
  const token = (claims: Readonly<Record<string, unknown>> = {}) => {
    const now = Math.floor(Date.now() / 1_000);
    const all = { iss: issuer, aud: audience, sub: "backup", iat: now, ...claims };
    const payload = { exp: now + lifetimeSecondsDefault, ...all };
    const parts = [{ alg: "RS256", kid, typ: "JWT" }, payload].map(encoded).join(".");
    return `${parts}.${createSign("RSA-SHA256").update(parts).sign(privateKey, "base64url")}`;
  };
  return {
    ...{ jwksFile, issuer, audience, token },
    endpoint: (options) => openEndpoint(token, options),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

async function openEndpoint(
  token: TestTokenIssuer["token"],
  { clients, lifetimeSeconds = lifetimeSecondsDefault, certificate }: EndpointOptions,
): Promise<TokenEndpoint> {
  const requests: TokenRequestSeen[] = [];
  const answer: RequestListener = async (request, response) => {
    const form = Object.fromEntries(new URLSearchParams(await text(request)));
    const basic = request.headers.authorization?.replace(/^Basic /, "") ?? "";
    const credentials = Buffer.from(basic, "base64").toString().split(":");
    const [clientId = "", secret = ""] = credentials.map((part) =>
      decodeURIComponent(part.replaceAll("+", " ")),
    );
    requests.push({ clientId, form });
    const isRight = form.grant_type === "client_credentials" && clients[clientId] === secret;
    const exp = Math.floor(Date.now() / 1_000) + lifetimeSeconds;
    const body = isRight
      ? {
          access_token: token({ sub: clientId, ...(form.scope && { scope: form.scope }), exp }),
          token_type: "Bearer",
          expires_in: lifetimeSeconds,
        }
      : { error: "invalid_client", error_description: `client ${clientId} has another secret` };
    response.writeHead(isRight ? 200 : 401, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  const server =
    certificate === undefined
      ? createHttpServer(answer)
      : createHttpsServer({ cert: certificate.certificate, key: certificate.key }, answer);
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `${certificate === undefined ? "http" : "https"}://127.0.0.1:${port}/token`,
    requests,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
