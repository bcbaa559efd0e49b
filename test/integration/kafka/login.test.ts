import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { settingsOf } from "#core/kafka/settings-of.ts";
import type { LogFields } from "#core/runtime.ts";
import { silentLogger } from "#core/runtime.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { connectForTests, createTopic } from "#test/support/kafka.ts";

const password = "correct-horse-battery";
const users = { alice: password };
let kafka: LocalKafka;

beforeAll(async () => {
  kafka = await startKafka({
    settings: {
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS;User:reader",
    },
    listeners: [
      {
        name: "SASL",
        protocol: "SASL_PLAINTEXT",
        mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        users,
      },
      { name: "SASLTLS", protocol: "SASL_SSL", mechanisms: ["SCRAM-SHA-512"], users },
      { name: "ONLYSCRAM", protocol: "SASL_PLAINTEXT", mechanisms: ["SCRAM-SHA-256"], users },
      { name: "BEARER", protocol: "SASL_PLAINTEXT", mechanisms: ["OAUTHBEARER"] },
      { name: "TLS", protocol: "SSL" },
      { name: "MUTUAL", protocol: "SSL", clientCertificate: "required" },
    ],
  });
});
afterAll(() => kafka.stop());

function configFor(listener: string, changes: Partial<ClusterConfig>): ClusterConfig {
  return { bootstrap_servers: [kafka.listeners[listener]!], ...changes };
}

const alice = { sasl_username: "alice", sasl_password: password };
const mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const;

async function failureOf(config: ClusterConfig): Promise<unknown> {
  return connectForTests(config).then(
    async (cluster) => {
      await cluster.disconnect();
      return "connected";
    },
    (error) => error,
  );
}

async function logsIn(config: ClusterConfig): Promise<void> {
  const cluster = await connectForTests(config);
  expect(await cluster.brokerIds()).toEqual([1]);
  await cluster.disconnect();
}

describe.each(mechanisms)("SASL %s", (sasl_mechanism) => {
  const sasl = { security_protocol: "SASL_PLAINTEXT", sasl_mechanism, ...alice } as const;

  test("logs in", () => logsIn(configFor("SASL", sasl)));

  test("S5: refuses a wrong password, naming mechanism and user but not the password", async () => {
    const logged: unknown[] = [];
    const debug = (message: string, fields?: LogFields) => logged.push(message, fields);
    const wrong = configFor("SASL", { ...sasl, sasl_password: "wrong-horse" });
    const connecting = connectForTests(wrong, { logger: { ...silentLogger, debug } });
    const error = await connecting.catch((reason) => reason);
    expect(error).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringContaining(`refused SASL ${sasl_mechanism} login of user "alice"`),
    });
    expect(error.message).toContain(kafka.listeners.SASL);
    expect(JSON.stringify([error, error.message, logged])).not.toContain("wrong-horse");
  });
});

test("an unknown user is refused", async () => {
  const sasl_mechanism = "SCRAM-SHA-512";
  const mallory = { sasl_username: "mallory", sasl_password: "x" };
  const config = { security_protocol: "SASL_PLAINTEXT", sasl_mechanism, ...mallory } as const;
  expect(await failureOf(configFor("SASL", config))).toMatchObject({
    name: "AccessDeniedError",
    message: expect.stringContaining('user "mallory"'),
  });
});

test("a mechanism that the listener does not have is named", async () => {
  const config = {
    security_protocol: "SASL_PLAINTEXT",
    sasl_mechanism: "PLAIN",
    ...alice,
  } as const;
  expect(await failureOf(configFor("ONLYSCRAM", config))).toMatchObject({
    name: "AccessDeniedError",
    message: expect.stringMatching(/SASL PLAIN login of user "alice".*UNSUPPORTED_SASL_MECHANISM/),
  });
});

describe("SASL AWS_MSK_IAM", () => {
  const iam = { security_protocol: "SASL_PLAINTEXT", sasl_mechanism: "AWS_MSK_IAM" } as const;

  /** A token that this Kafka takes, as nobody has to sign it (RFC 7515, appendix A.5). */
  async function unsecuredToken(): Promise<string> {
    const inSeconds = Math.floor(Date.now() / 1_000);
    const claims = { sub: "reader", iat: inSeconds, exp: inSeconds + 600 };
    const parts = [{ alg: "none" }, claims].map((part) => JSON.stringify(part));
    return `${parts.map((part) => Buffer.from(part).toString("base64url")).join(".")}.`;
  }

  test("logs in with a new token on each connection", async () => {
    let made = 0;
    const iamTokens = () => {
      made += 1;
      return unsecuredToken();
    };
    const cluster = await connectForTests(configFor("BEARER", iam), { iamTokens });
    expect(await cluster.brokerIds()).toEqual([1]);
    const topic = await createTopic(cluster);
    const madeBefore = made;
    expect(madeBefore).toBeGreaterThanOrEqual(1);
    // Records are fetched on a connection of their own.
    const { highWatermark } = await cluster.fetch({
      ...{ topic, partition: 0, fetchOffset: 0n, currentLeaderEpoch: -1 },
      ...{ maxBytes: 1_024, minBytes: 0, maxWaitMs: 0, isolation: "read_committed" },
    });
    expect(highWatermark).toBe(0n);
    expect(made).toBeGreaterThan(madeBefore);
    await cluster.disconnect();
  });

  test("S5: says what to do where the broker refuses the token, and nothing of the token", async () => {
    const logged: unknown[] = [];
    const debug = (message: string, fields?: LogFields) => logged.push(message, fields);
    const connecting = connectForTests(configFor("BEARER", iam), {
      iamTokens: async () => "not-a-token-of-this-kafka",
      logger: { ...silentLogger, debug },
    });
    const error = await connecting.catch((reason) => reason);
    expect(error).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringContaining("refused SASL AWS_MSK_IAM login"),
      hint: expect.stringContaining("kafka-cluster:Connect"),
    });
    expect(JSON.stringify([error, error.message, logged])).not.toContain("not-a-token");
  });

  test("sends the token of the AWS credentials that there are", async () => {
    vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "secret");
    const config = configFor("BEARER", { ...iam, aws_region: "eu-central-1" });
    // This Kafka knows no token of IAM: that it says so is that it was asked.
    expect(await failureOf(config)).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringContaining("refused SASL AWS_MSK_IAM login"),
    });
    vi.unstubAllEnvs();
  });

  test("says that there are no AWS credentials, where there are none", async () => {
    for (const name of Object.keys(process.env)) {
      if (name.startsWith("AWS_")) vi.stubEnv(name, undefined);
    }
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    vi.stubEnv("HOME", "/nonexistent");
    const config = configFor("BEARER", { ...iam, aws_region: "eu-central-1" });
    expect(await failureOf(config)).toMatchObject({
      name: "AccessDeniedError",
      message: "no AWS credentials for AWS_MSK_IAM: CredentialsProviderError",
    });
    vi.unstubAllEnvs();
  });
});

describe("TLS", () => {
  test("connects where the authority is known", () =>
    logsIn(configFor("TLS", { security_protocol: "SSL", ssl_ca: kafka.certificates!.ca })));

  test("logs in with SASL over it", () =>
    logsIn(
      configFor("SASLTLS", {
        security_protocol: "SASL_SSL",
        sasl_mechanism: "SCRAM-SHA-512",
        ssl_ca: kafka.certificates!.ca,
        ...alice,
      }),
    ));

  test("shows a client certificate where one is required", () =>
    logsIn(
      configFor("MUTUAL", {
        security_protocol: "SSL",
        ssl_ca: kafka.certificates!.ca,
        ssl_certificate: kafka.certificates!.clientCertificate,
        ssl_key: kafka.certificates!.clientKey,
      }),
    ));

  test("does not trust an unknown authority, and names the cause", async () => {
    const error = await failureOf(configFor("TLS", { security_protocol: "SSL" }));
    expect(error).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringMatching(
        /certificate of 127\.0\.0\.1:\d+ is not accepted: .*CERT|ISSUER/,
      ),
    });
  });

  test("says that a client certificate is missing", async () => {
    const config = { security_protocol: "SSL", ssl_ca: kafka.certificates!.ca } as const;
    expect(await failureOf(configFor("MUTUAL", config))).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringMatching(/TLS with .* failed: .*certificate/i),
    });
  });

  test("to a listener without it, and none to one with it, are told from a dead broker", async () => {
    const plain = { bootstrap_servers: [kafka.bootstrapServers] };
    const withTls = { ...plain, security_protocol: "SSL", ssl_ca: kafka.certificates!.ca } as const;
    expect(await failureOf(withTls)).toMatchObject({
      name: "BrokerUnavailableError",
      message: expect.stringContaining("is it a listener with TLS?"),
    });
    expect(await failureOf(configFor("TLS", {}))).toMatchObject({
      name: "BrokerUnavailableError",
      message: expect.stringContaining("is it a listener without TLS?"),
    });
  });
});

describe("a user without rights", () => {
  const config = () =>
    configFor("SASL", {
      security_protocol: "SASL_PLAINTEXT",
      sasl_mechanism: "PLAIN",
      ...alice,
    });

  test("K7: is denied by name of topic and operation, and sees no topics and no ACLs", async () => {
    const admin = await connectForTests({ bootstrap_servers: [kafka.bootstrapServers] });
    const topic = await createTopic(admin);
    const cluster = await connectForTests(config());
    const needs = (right: string) => ({
      name: "AccessDeniedError",
      message: expect.stringContaining(`the credentials lack ${right}`),
    });
    expect(await cluster.describeTopics()).toEqual([]);
    await expect(cluster.describeTopics([topic])).rejects.toMatchObject(
      needs(`Describe on topic ${topic}`),
    );
    await expect(settingsOf(cluster, topic)).rejects.toMatchObject(
      needs(`DescribeConfigs on topic ${topic}`),
    );
    await expect(
      cluster.alterTopicSettings(topic, [{ name: "retention.ms", set: "1" }]),
    ).rejects.toMatchObject(needs(`AlterConfigs on topic ${topic}`));
    await expect(
      cluster.createTopics([
        { topic: "forbidden", partitionCount: 1, replicationFactor: 1, config: {} },
      ]),
    ).rejects.toMatchObject(needs("Create on topic forbidden"));
    await expect(cluster.initProducerId()).rejects.toMatchObject(
      needs("IdempotentWrite on the cluster"),
    );
    expect(await cluster.describeAcls()).toBeUndefined();
    expect(await admin.describeAcls()).toEqual([]);
    await cluster.disconnect();
    await admin.disconnect();
  });
});

describe("servers that are not there", () => {
  test("are each named with the reason", async () => {
    const servers = ["127.0.0.1:1", "no-such-host.invalid:9092"];
    const error = await failureOf({ bootstrap_servers: servers });
    expect(error).toMatchObject({
      name: "BrokerUnavailableError",
      message: expect.stringMatching(/127\.0\.0\.1:1 cannot be reached: .*ECONNREFUSED/),
    });
    expect((error as Error).message).toMatch(/no-such-host\.invalid:9092 does not resolve/);
  });

  test("do not hinder when another one is", async () => {
    await logsIn({ bootstrap_servers: ["127.0.0.1:1", kafka.bootstrapServers] });
  });

  test("are told from addresses that are none", async () => {
    expect(await failureOf({ bootstrap_servers: ["host:port"] })).toMatchObject({
      name: "InvalidRequestError",
      message: expect.stringContaining('"host:port"'),
    });
  });
});
