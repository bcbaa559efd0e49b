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
import { silentLogger } from "#core/runtime.ts";
import { Clients } from "#functions/settings.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { randomName } from "#test/support/kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";

const password = "correct-horse-battery";
const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
let kafka: LocalKafka;
let secrets: SecretsManagerClient;
let folder: string;
let configFile: string;

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
        users: { reader: password },
      },
    ],
  });
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-clients-"));
  configFile = join(folder, "backup.json");
  const source = {
    bootstrap_servers: kafka.listeners.SASL,
    security_protocol: "SASL_PLAINTEXT",
    sasl_mechanism: mechanism,
    topics: { include: ["*"] },
  };
  const storage = { backend: "s3", bucket: "kafka-backups" };
  await writeFile(configFile, JSON.stringify({ mode: "backup", backup_id: "b", source, storage }));
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

const secretOf = (password: string) => JSON.stringify({ username: "reader", password });

describe("a function's clients", () => {
  test("log in with what the secret holds, once for all invocations", async () => {
    const secretArn = await createSecret(secretOf(password));
    const clients = new Clients({ configFile, secretArn, table: undefined }, silentLogger);
    const cluster = await clients.cluster();
    expect(await cluster.brokerIds()).toEqual([1]);
    expect(await clients.cluster()).toBe(cluster);
    await cluster.disconnect();
  });

  test("read the secret anew where its login was refused: it may have been rotated", async () => {
    const secretArn = await createSecret(secretOf("outdated"));
    const clients = new Clients({ configFile, secretArn, table: undefined }, silentLogger);
    const refusal = await clients.cluster().catch((error) => error);
    expect(refusal).toMatchObject({ name: "AccessDeniedError" });
    expect(refusal.message).not.toContain("outdated");
    const rotated = { SecretId: secretArn, SecretString: secretOf(password) };
    await secrets.send(new PutSecretValueCommand(rotated));
    await (await clients.cluster()).disconnect();
  });

  test.each(["not json", '{"username":"reader"}', '["reader","hunter2"]'])(
    "S5 refuse a secret of another form, %s, without telling what it holds",
    async (value) => {
      const secretArn = await createSecret(value);
      const clients = new Clients({ configFile, secretArn, table: undefined }, silentLogger);
      const refusal = await clients.cluster().catch((error) => error);
      expect(refusal).toMatchObject({ name: "InvalidConfigError" });
      expect(refusal.message).toContain(secretArn);
      expect(refusal.message).not.toMatch(/reader|hunter2|not json/);
    },
  );

  test("name a secret that cannot be read, in AWS's words", async () => {
    const secretArn = `arn:aws:secretsmanager:${region}:000000000000:secret:absent-AbCdEf`;
    const clients = new Clients({ configFile, secretArn, table: undefined }, silentLogger);
    await expect(clients.cluster()).rejects.toMatchObject({
      name: "AccessDeniedError",
      message: `secret ${secretArn} cannot be read: ResourceNotFoundException`,
    });
  });

  test("call it an outage where nobody answers for the secret, which a pause may mend", async () => {
    vi.stubEnv("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    const clients = new Clients(
      { configFile, secretArn: "arn:aws:secret", table: undefined },
      silentLogger,
    );
    await expect(clients.cluster()).rejects.toMatchObject({ name: "StorageUnavailableError" });
    vi.stubEnv("AWS_ENDPOINT_URL", endpoint);
  });
});
