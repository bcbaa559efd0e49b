/** What functions open: with the login that a secret holds, on a Kafka that asks for it. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  CreateSecretCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from "@aws-sdk/client-secrets-manager";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CircuitBreaker } from "#core/circuit-breaker.ts";
import { silentLogger } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { Clients } from "#functions/settings.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { randomName } from "#test/support/kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";

const password = "correct-horse-battery";
const otherPassword = "staple-of-another-horse";
const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
let kafka: LocalKafka;
let secrets: SecretsManagerClient;
let folder: string;

beforeAll(async () => {
  vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
  vi.stubEnv("AWS_REGION", region);
  vi.stubEnv("AWS_ACCESS_KEY_ID", accessKeyId);
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", secretAccessKey);
  secrets = new SecretsManagerClient({});
  const mechanism = "SCRAM-SHA-512";
  kafka = await startKafka({
    heapMb: 512,
    listeners: [
      {
        name: "SASL",
        protocol: "SASL_PLAINTEXT",
        mechanisms: [mechanism],
        users: { reader: password, auditor: otherPassword },
      },
    ],
  });
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-clients-"));
  const source = {
    bootstrap_servers: kafka.listeners.SASL,
    security_protocol: "SASL_PLAINTEXT",
    sasl_mechanism: mechanism,
    topics: { include: ["*"] },
  };
  const storage = { backend: "s3", bucket: "kafka-backups" };
  const config = { mode: "backup", backup_id: "b", source, storage };
  await writeFile(join(folder, "backup.json"), JSON.stringify(config));
});

afterAll(async () => {
  vi.unstubAllEnvs();
  secrets.destroy();
  await kafka?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function createSecret(value: string): Promise<string> {
  const Name = randomName("AmazonMSK_");
  const { ARN } = await secrets.send(new CreateSecretCommand({ Name, SecretString: value }));
  return ARN!;
}

function clientsWith(secretArn: string | undefined): Clients {
  const secretArns = { source: secretArn, target: undefined };
  const breaker = new CircuitBreaker(systemClock);
  return new Clients({ folder, secretArns, table: undefined }, silentLogger, breaker);
}

const secretOf = (password: string) => JSON.stringify({ username: "reader", password });

describe("a function's clients", () => {
  test("log in with what the secret holds, once for all invocations", async () => {
    const secretArn = await createSecret(secretOf(password));
    const clients = clientsWith(secretArn);
    const cluster = await clients.source();
    expect(await cluster.brokerIds()).toEqual([1]);
    expect(await clients.source()).toBe(cluster);
    await cluster.disconnect();
  });

  test("read the secret anew where its login was refused: it may have been rotated", async () => {
    const secretArn = await createSecret(secretOf("outdated"));
    const clients = clientsWith(secretArn);
    const refusal = await clients.source().catch((error) => error);
    expect(refusal).toMatchObject({ name: "AccessDeniedError" });
    expect(refusal.message).not.toContain("outdated");
    const rotated = { SecretId: secretArn, SecretString: secretOf(password) };
    await secrets.send(new PutSecretValueCommand(rotated));
    await (await clients.source()).disconnect();
  });

  test("log in anew when the secret was rotated since, and only then", async () => {
    const secretArn = await createSecret(secretOf(password));
    const clients = clientsWith(secretArn);
    const first = await clients.source();
    await clients.renewLogins();
    expect(await clients.source()).toBe(first);

    const other = JSON.stringify({ username: "auditor", password: otherPassword });
    await secrets.send(new PutSecretValueCommand({ SecretId: secretArn, SecretString: other }));
    await clients.renewLogins();
    const second = await clients.source();
    expect(second).not.toBe(first);
    expect(await second.brokerIds()).toEqual([1]);
    await expect(first.brokerIds()).rejects.toThrow("closed");
    await second.disconnect();
  });

  test("keep the login while nobody answers for the secret", async () => {
    const clients = clientsWith(await createSecret(secretOf(password)));
    const cluster = await clients.source();
    vi.stubEnv("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    await clients.renewLogins();
    vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
    expect(await clients.source()).toBe(cluster);
    await cluster.disconnect();
  });

  test.each(["not json", '{"username":"reader"}', '["reader","hunter2"]'])(
    "S5 refuse a secret of another form, %s, without telling what it holds",
    async (value) => {
      const secretArn = await createSecret(value);
      const clients = clientsWith(secretArn);
      const refusal = await clients.source().catch((error) => error);
      expect(refusal).toMatchObject({ name: "InvalidConfigError" });
      expect(refusal.message).toContain(secretArn);
      expect(refusal.message).not.toMatch(/reader|hunter2|not json/);
    },
  );

  test("name a secret that cannot be read, in AWS's words", async () => {
    const secretArn = `arn:aws:secretsmanager:${region}:000000000000:secret:absent-AbCdEf`;
    const clients = clientsWith(secretArn);
    await expect(clients.source()).rejects.toMatchObject({
      name: "AccessDeniedError",
      message: `secret ${secretArn} cannot be read: ResourceNotFoundException`,
    });
  });

  test("call it an outage where nobody answers for the secret, which a pause may mend", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    const clients = clientsWith("arn:aws:secret");
    await expect(clients.source()).rejects.toMatchObject({ name: "StorageUnavailableError" });
    vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
  });

  test("open the storage without the login for those who talk to no cluster, and no cluster", async () => {
    const clients = clientsWith(undefined);
    const storage = await clients.storage();
    expect(storage.url).toBe("s3://kafka-backups/");
    await storage.close();
    await expect(clients.source()).rejects.toMatchObject({
      name: "InvalidConfigError",
      message: "this function has no login for source",
    });
  });
});
