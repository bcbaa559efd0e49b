import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type LogFields, silentLogger } from "#core/runtime.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { ofLoopback } from "#local/kafka-certificates.ts";
import { appendNumbered } from "#test/support/append.ts";
import { connectForTests, createTopic } from "#test/support/kafka.ts";
import {
  makeTokenIssuer,
  type TestTokenIssuer,
  type TokenEndpoint,
} from "#test/support/token-issuer.ts";

const secret = "correct horse/battery+staple";
const clients = { "backup client": secret };
/** Of a login, whatever the token says. */
const sessionMs = 10_000;
let issuer: TestTokenIssuer;
let kafka: LocalKafka;
let endpoint: TokenEndpoint;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-oauth-"));
  issuer = await makeTokenIssuer();
  kafka = await startKafka({
    settings: {
      "listener.name.short.oauthbearer.connections.max.reauth.ms": String(sessionMs),
    },
    listeners: [
      { name: "BEARER", protocol: "SASL_SSL", mechanisms: ["OAUTHBEARER"], tokens: issuer },
      { name: "SHORT", protocol: "SASL_PLAINTEXT", mechanisms: ["OAUTHBEARER"], tokens: issuer },
    ],
  });
  const certificate = await kafka.certificates!.issue("endpoint", ofLoopback);
  endpoint = await issuer.endpoint({ clients, certificate });
});
afterAll(async () => {
  await endpoint?.stop();
  await kafka?.stop();
  await issuer?.remove();
  await rm(folder, { recursive: true, force: true });
});

function overTls(changes: Partial<ClusterConfig> = {}): ClusterConfig {
  return {
    bootstrap_servers: [kafka.listeners.BEARER!],
    security_protocol: "SASL_SSL",
    sasl_mechanism: "OAUTHBEARER",
    ssl_ca: kafka.certificates!.ca,
    ...changes,
  };
}

function byEndpoint(changes: Partial<ClusterConfig> = {}): ClusterConfig {
  return overTls({
    sasl_oauthbearer_token_endpoint_url: endpoint.url,
    sasl_oauthbearer_client_id: "backup client",
    sasl_oauthbearer_client_secret: secret,
    ...changes,
  });
}

interface Failure {
  readonly name: string;
  readonly message: string;
  readonly hint: string;
  /** All that was told of it, the log included. */
  readonly told: string;
}

async function failureOf(config: ClusterConfig): Promise<Failure> {
  const logged: unknown[] = [];
  const debug = (message: string, fields?: LogFields) => logged.push(message, fields);
  const logger = { ...silentLogger, debug };
  const error = await connectForTests(config, { logger }).then(
    async (cluster) => {
      await cluster.disconnect();
      throw new Error("connected");
    },
    (reason) => reason,
  );
  const told = JSON.stringify([error, error.message, logged]);
  return { name: error.name, message: error.message, hint: error.hint, told };
}

describe("SASL OAUTHBEARER with a token endpoint", () => {
  test("logs in with the client's credentials, and asks for scope and audience", async () => {
    const seen = endpoint.requests.length;
    const cluster = await connectForTests(
      byEndpoint({ sasl_oauthbearer_scope: "kafka read", sasl_oauthbearer_audience: "k&r" }),
    );
    expect(await cluster.brokerIds()).toEqual([1]);
    await cluster.disconnect();
    // One token for all connections, while it is fresh.
    expect(endpoint.requests.slice(seen)).toEqual([
      {
        clientId: "backup client",
        form: { grant_type: "client_credentials", scope: "kafka read", audience: "k&r" },
      },
    ]);
  });

  test("tells brokers what else they want to know", async () => {
    const extensions = { logicalCluster: "lkc-1", identityPoolId: "pool-2" };
    const cluster = await connectForTests(byEndpoint({ sasl_oauthbearer_extensions: extensions }));
    expect(await cluster.brokerIds()).toEqual([1]);
    await cluster.disconnect();
  });

  test("S5: a refused client is told with endpoint and status, and without its secret", async () => {
    const failure = await failureOf(byEndpoint({ sasl_oauthbearer_client_secret: "wrong-horse" }));
    expect(failure).toMatchObject({
      name: "AccessDeniedError",
      message: `token endpoint ${endpoint.url} gave client "backup client" no token: HTTP 401 (invalid_client: client backup client has another secret)`,
      hint: expect.stringContaining("sasl_oauthbearer_client_secret"),
    });
    expect(failure.told).not.toContain("wrong-horse");
    expect(failure.told).not.toContain(btoa("backup+client:wrong-horse"));
  });

  test("an endpoint that is not there may be back: it is named, and may be tried again", async () => {
    const nowhere = { sasl_oauthbearer_token_endpoint_url: "https://127.0.0.1:1/token" };
    expect(await failureOf(byEndpoint(nowhere))).toMatchObject({
      name: "BrokerUnavailableError",
      message: expect.stringMatching(/token endpoint https:\/\/127\.0\.0\.1:1\/token cannot be/),
    });
  });

  test("an endpoint of an unknown authority is told from a broker of one", async () => {
    const other = await makeTokenIssuer();
    const certificate = await kafka.certificates!.issue("elsewhere", {
      extension: "subjectAltName=DNS:elsewhere",
    });
    const misnamed = await other.endpoint({ clients, certificate });
    const url = { sasl_oauthbearer_token_endpoint_url: misnamed.url };
    expect(await failureOf(byEndpoint(url))).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringMatching(
        /certificate of token endpoint .* is not accepted: .*ERR_TLS_CERT_ALTNAME_INVALID/,
      ),
    });
    await misnamed.stop();
    await other.remove();
  });

  test("S5: a token of another issuer is refused by the broker, and not shown", async () => {
    const other = await makeTokenIssuer();
    const certificate = await kafka.certificates!.issue("other", ofLoopback);
    const foreign = await other.endpoint({ clients, certificate });
    const url = { sasl_oauthbearer_token_endpoint_url: foreign.url };
    const failure = await failureOf(byEndpoint(url));
    expect(failure).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringContaining(
        'refused SASL OAUTHBEARER login with client "backup client"',
      ),
      hint: expect.stringContaining("sasl.oauthbearer.expected"),
    });
    expect(failure.told).not.toMatch(/eyJ[\w-]+\.eyJ/);
    await foreign.stop();
    await other.remove();
  });
});

describe("SASL OAUTHBEARER with a token file", () => {
  const file = () => join(folder, "token");
  const byFile = () => overTls({ sasl_oauthbearer_token_file: file() });

  test("reads it at each login", async () => {
    await writeFile(file(), `${issuer.token()}\n`);
    const cluster = await connectForTests(byFile());
    expect(await cluster.brokerIds()).toEqual([1]);
    await cluster.disconnect();
    const now = Math.floor(Date.now() / 1_000);
    await writeFile(file(), issuer.token({ iat: now - 7200, exp: now - 3600 }));
    expect(await failureOf(byFile())).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringContaining("refused SASL OAUTHBEARER login with the token in"),
    });
  });

  test.each([
    ["", /token file .* holds no token/],
    ["two tokens", /token file .* holds no token/],
  ])("refuses one that holds %j", async (content, message) => {
    await writeFile(file(), content);
    const failure = await failureOf(byFile());
    expect(failure.name).toBe("AccessDeniedError");
    expect(failure.message).toMatch(message);
  });

  test("names one that is missing", async () => {
    const config = overTls({ sasl_oauthbearer_token_file: join(folder, "missing") });
    expect(await failureOf(config)).toMatchObject({
      name: "AccessDeniedError",
      message: `token file ${join(folder, "missing")} cannot be read: ENOENT`,
    });
  });
});

describe("a session that the broker ends (KIP-368)", () => {
  test("is renewed on its connections, so that no request of a long run fails", async () => {
    const short = await issuer.endpoint({ clients, lifetimeSeconds: (2 * sessionMs) / 1_000 });
    let opened = 0;
    const debug = (message: string) => {
      if (message === "kafkajs: Connecting") opened += 1;
    };
    const config = byEndpoint({
      bootstrap_servers: [kafka.listeners.SHORT!],
      security_protocol: "SASL_PLAINTEXT",
      sasl_oauthbearer_token_endpoint_url: short.url,
    });
    const deps = { logger: { ...silentLogger, debug }, retryBudgetMs: 0 };
    const cluster = await connectForTests(config, deps);
    const admin = await connectForTests({ bootstrap_servers: [kafka.bootstrapServers] });
    const topic = await createTopic(admin);
    const at = { topic, partition: 0 };
    const endMs = performance.now() + 2.5 * sessionMs;
    for (let rounds = 0; performance.now() < endMs || rounds < 100; rounds++) {
      await appendNumbered(cluster, { topic, from: rounds, count: 1 });
      const { endOffset } = await cluster.logEndOffset(at);
      expect(endOffset).toBe(BigInt(rounds + 1));
      await sleep(20);
    }
    // With a token of two sessions.
    expect(short.requests.length).toBeGreaterThanOrEqual(2);
    // One for each lane that is used, where a connection for each login would be hundreds.
    expect(opened).toBeGreaterThanOrEqual(2);
    expect(opened).toBeLessThan(30);
    await Promise.all([cluster.disconnect(), admin.disconnect()]);
    await short.stop();
  });
});
