/** Each command that connects, over each security protocol, on a cluster of three brokers. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { run } from "#cli/main.ts";
import type { DoctorReport } from "#core/doctor/contract.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type LocalKafkaCluster, startKafkaCluster } from "#local/kafka-cluster.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { appendNumbered } from "#test/support/append.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import {
  makeTokenIssuer,
  type TestTokenIssuer,
  type TokenEndpoint,
} from "#test/support/token-issuer.ts";

const password = "correct-horse-battery";
const users = { alice: password };
const securityPackage = "org.apache.kafka.common.security";
let folder: string;
/** Of the file; those of the endpoint begin like it. */
let token: string;
let issuer: TestTokenIssuer;
let endpoint: TokenEndpoint;
let kafka: LocalKafkaCluster;
/** Through the plaintext listeners: looks at what the commands did. */
let cluster: Cluster;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-protocols-"));
  issuer = await makeTokenIssuer();
  endpoint = await issuer.endpoint({ clients: { backup: password } });
  kafka = await startKafkaCluster({
    listeners: [
      {
        name: "PASSWORD",
        protocol: "SASL_PLAINTEXT",
        mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
        users,
      },
      { name: "SCRAMTLS", protocol: "SASL_SSL", mechanisms: ["SCRAM-SHA-512"], users },
      { name: "BEARER", protocol: "SASL_SSL", mechanisms: ["OAUTHBEARER"], tokens: issuer },
      { name: "MUTUAL", protocol: "SSL", clientCertificate: "required" },
    ],
  });
  const { ca, clientCertificate, clientKey } = kafka.certificates!;
  await writeFile(join(folder, "ca.pem"), ca);
  await writeFile(join(folder, "client.pem"), clientCertificate);
  await writeFile(join(folder, "client-key.pem"), clientKey);
  await writeFile(join(folder, "client-store.pem"), clientKey + clientCertificate);
  token = issuer.token();
  await writeFile(join(folder, "token"), token);
  cluster = await connectForTests({ bootstrap_servers: kafka.bootstrapServers.split(",") });
});
afterAll(async () => {
  await cluster?.disconnect();
  await kafka?.stop();
  await endpoint?.stop();
  await issuer?.remove();
  await rm(folder, { recursive: true, force: true });
});

interface Protocol {
  readonly listener: string;
  /** Of a section of the configuration. */
  readonly keys: () => Readonly<Record<string, unknown>>;
  /** The same as Kafka's own clients are told. */
  readonly properties: () => Readonly<Record<string, string>>;
}

const trusted = () => ({
  "ssl.truststore.type": "PEM",
  "ssl.truststore.location": join(folder, "ca.pem"),
});

function withPassword(
  listener: string,
  security_protocol: "SASL_PLAINTEXT" | "SASL_SSL",
  sasl_mechanism: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512",
): Protocol {
  const isTls = security_protocol === "SASL_SSL";
  const module = sasl_mechanism === "PLAIN" ? "plain.PlainLoginModule" : "scram.ScramLoginModule";
  return {
    listener,
    keys: () => ({
      ...{ security_protocol, sasl_mechanism, sasl_username: "alice", sasl_password: password },
      ...(isTls && { ssl_ca_location: join(folder, "ca.pem") }),
    }),
    properties: () => ({
      ...{ "security.protocol": security_protocol, "sasl.mechanism": sasl_mechanism },
      "sasl.jaas.config": `${securityPackage}.${module} required username="alice" password="${password}";`,
      ...(isTls && trusted()),
    }),
  };
}

function withTokens(ofKeys: () => object, ofProperties: () => Record<string, string>): Protocol {
  const [security_protocol, sasl_mechanism] = ["SASL_SSL", "OAUTHBEARER"];
  return {
    listener: "BEARER",
    keys: () => ({
      ...{ security_protocol, sasl_mechanism, ...ofKeys() },
      ssl_ca_location: join(folder, "ca.pem"),
    }),
    properties: () => ({
      ...{ "security.protocol": security_protocol, "sasl.mechanism": sasl_mechanism },
      ...ofProperties(),
      ...trusted(),
    }),
  };
}

const protocols: readonly (readonly [string, Protocol])[] = [
  ["SASL_PLAINTEXT PLAIN", withPassword("PASSWORD", "SASL_PLAINTEXT", "PLAIN")],
  ["SASL_PLAINTEXT SCRAM-SHA-256", withPassword("PASSWORD", "SASL_PLAINTEXT", "SCRAM-SHA-256")],
  ["SASL_SSL SCRAM-SHA-512", withPassword("SCRAMTLS", "SASL_SSL", "SCRAM-SHA-512")],
  [
    "SASL_SSL OAUTHBEARER by an endpoint",
    withTokens(
      () => ({
        sasl_oauthbearer_token_endpoint_url: endpoint.url,
        sasl_oauthbearer_client_id: "backup",
        sasl_oauthbearer_client_secret: password,
      }),
      () => ({
        "sasl.oauthbearer.token.endpoint.url": endpoint.url,
        "sasl.jaas.config": `${securityPackage}.oauthbearer.OAuthBearerLoginModule required clientId="backup" clientSecret="${password}";`,
      }),
    ),
  ],
  [
    "SASL_SSL OAUTHBEARER by a file",
    withTokens(
      () => ({ sasl_oauthbearer_token_file: join(folder, "token") }),
      () => ({ "sasl.oauthbearer.token.endpoint.url": `file://${join(folder, "token")}` }),
    ),
  ],
  [
    "SSL with a client certificate",
    {
      listener: "MUTUAL",
      keys: () => ({
        security_protocol: "SSL",
        ssl_ca_location: join(folder, "ca.pem"),
        ssl_certificate_location: join(folder, "client.pem"),
        ssl_key_location: join(folder, "client-key.pem"),
      }),
      properties: () => ({
        "security.protocol": "SSL",
        ...trusted(),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": join(folder, "client-store.pem"),
      }),
    },
  ],
];

/** Tells all that it can tell. */
async function ok(...argv: string[]): Promise<string> {
  const io = fakeIo({ env: {} });
  const exitCode = await run([...argv, "--format", "json", "--log-level", "debug"], io);
  expect({ argv, exitCode, err: io.err() }).toMatchObject({ argv, exitCode: exitCodes.done });
  said.push(io.out(), io.err());
  return io.out();
}

/** By all commands, on stdout and stderr. */
const said: string[] = [];

/** In any form that a log or a document may give them. */
function secretsIn(text: string): string[] {
  const beginning = token.slice(0, token.indexOf(".") + 1);
  const privateKey = kafka.certificates!.clientKey.split("\n")[1]!;
  const secrets = [password, Buffer.from(password).toString("base64"), beginning, privateKey];
  return secrets.filter((secret) => text.includes(secret));
}

/** A file for `name`; JSON is YAML too. */
async function fileOf(name: string, content: object): Promise<string> {
  const file = join(folder, `${randomName(name)}.yaml`);
  await writeFile(file, JSON.stringify(content));
  return file;
}

/** Of a Kafka client. */
async function propertiesFileOf(properties: Readonly<Record<string, string>>): Promise<string> {
  const file = join(folder, `${randomName("client")}.properties`);
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`);
  await writeFile(file, lines.join(""));
  return file;
}

async function endOffset(topic: string): Promise<bigint> {
  return (await cluster.logEndOffset({ topic, partition: 0 })).endOffset;
}

describe.each(protocols)("%s", (_, { listener, keys, properties }) => {
  const bootstrap = () => kafka.listeners[listener]!;
  const storage = () => ({ backend: "filesystem", path: join(folder, "backups") });
  const path = () => ["--path", join(folder, "backups")];
  const backup_id = randomName("orders");
  const group = randomName("billing");
  let topic: string;
  let commandConfig: string[];

  beforeAll(async () => {
    topic = await createTopic(cluster, { replicationFactor: 3 });
    await appendNumbered(cluster, { topic, from: 0, count: 20 });
    const position = { topic, partition: 0, offset: 7n, leaderEpoch: -1, metadata: "" };
    expect(await cluster.commitOffsets(group, [position])).toMatchObject([{ error: undefined }]);
    const all = { "bootstrap.servers": bootstrap(), ...properties() };
    commandConfig = ["--command-config", await propertiesFileOf(all)];
  });

  const backupFile = (login: object) =>
    fileOf("backup", {
      ...{ mode: "backup", backup_id, storage: storage() },
      source: { bootstrap_servers: bootstrap(), topics: { include: [topic] }, ...login },
    });
  const restoreFile = (target: string, login: object, restore: object = {}) =>
    fileOf("restore", {
      ...{ mode: "restore", backup_id, storage: storage() },
      target: { bootstrap_servers: bootstrap(), topics: { include: [topic] }, ...login },
      restore: { topic_mapping: { [topic]: target }, ...restore },
    });
  const committed = async (of: string) => {
    const { groups } = await cluster.committedOffsets([group]);
    return groups[0]?.offsets.find((one) => one.topic === of)?.offset;
  };

  test("backup, by configuration and by --command-config", async () => {
    const first = JSON.parse(await ok("backup", "--config", await backupFile(keys())));
    expect(first).toMatchObject({ record_count: 20 });
    await appendNumbered(cluster, { topic, from: 20, count: 5 });
    const second = await ok("backup", "--config", await backupFile({}), ...commandConfig);
    expect(JSON.parse(second)).toMatchObject({ record_count: 5 });
  });

  test("doctor, by configuration and by --command-config", async () => {
    await ok("doctor", "--config", await backupFile(keys()));
    await ok("doctor", "--config", await backupFile({}), ...commandConfig);
  });

  test("restore and offset-reset, by configuration and by --command-config", async () => {
    for (const [login, options] of [
      [keys(), []],
      [{}, commandConfig],
    ] as const) {
      const target = randomName("restored");
      const file = await restoreFile(target, login);
      await ok("restore", "--config", file, ...options);
      expect(await endOffset(target)).toBe(25n);
      const which = ["--backup-id", backup_id, "--groups", group, "--restore-id", "newest"];
      const where = [...path(), ...which, "--config", file, ...options];
      await ok("offset-reset", "plan", ...where);
      await ok("offset-reset", "execute", ...where);
      expect(await committed(target)).toBe(7n);
    }
  });

  test("three-phase-restore, by configuration and by --command-config", async () => {
    for (const [login, options] of [
      [keys(), []],
      [{}, commandConfig],
    ] as const) {
      const target = randomName("restored");
      const file = await restoreFile(target, login, { consumer_groups: [group] });
      await ok("three-phase-restore", "--config", file, ...options);
      expect(await endOffset(target)).toBe(25n);
      expect(await committed(target)).toBe(7n);
    }
  });

  test("offset-rollback, with brokers out of the properties and beside them", async () => {
    const brokers = ["--bootstrap-servers", bootstrap(), ...commandConfig];
    const taken = JSON.parse(
      await ok("offset-rollback", "snapshot", ...path(), "--groups", group, ...commandConfig),
    );
    const which = [...path(), "--snapshot-id", taken.snapshot_id];
    await ok("offset-rollback", "verify", ...which, ...brokers);
    await ok("offset-rollback", "rollback", ...which, ...commandConfig);
  });
});

test("--source-command-config is for the source, as --command-config is for the target", async () => {
  const [topic, target] = [await createTopic(cluster, { replicationFactor: 3 }), randomName("to")];
  await appendNumbered(cluster, { topic, from: 0, count: 20 });
  const group = randomName("billing");
  const position = { topic, partition: 0, offset: 7n, leaderEpoch: -1, metadata: "" };
  expect(await cluster.commitOffsets(group, [position])).toMatchObject([{ error: undefined }]);
  const byProtocol = new Map(protocols);
  const source = byProtocol.get("SASL_SSL SCRAM-SHA-512")!;
  const mutual = byProtocol.get("SSL with a client certificate")!;
  const logins = [
    ...["--command-config", await propertiesFileOf(mutual.properties())],
    ...["--source-command-config", await propertiesFileOf(source.properties())],
  ];
  const at = ({ listener }: Protocol) => ({ bootstrap_servers: kafka.listeners[listener]! });
  const path = join(folder, "backups");
  const backup_id = randomName("orders");
  const file = await fileOf("restore", {
    ...{ mode: "restore", backup_id, storage: { backend: "filesystem", path } },
    source: { ...at(source), topics: { include: [topic] } },
    target: at(mutual),
    restore: { topic_mapping: { [topic]: target }, consumer_groups: [group], backup_first: true },
  });
  await ok("three-phase-restore", "--config", file, ...logins);
  expect(await endOffset(target)).toBe(20n);
  const { groups } = await cluster.committedOffsets([group]);
  expect(groups[0]?.offsets.find((one) => one.topic === target)?.offset).toBe(7n);

  const which = ["--path", path, "--backup-id", backup_id, "--groups", group];
  const current = ["--restore-id", "newest", "--offset-source", "current"];
  await ok("offset-reset", "plan", ...which, ...current, "--config", file, ...logins);
  const io = fakeIo({ env: {} });
  await run(["doctor", "--config", file, ...logins, "--format", "json"], io);
  said.push(io.out(), io.err());
  const { checks } = JSON.parse(io.out()) as DoctorReport;
  const reached = checks.filter(({ check }) => check === "brokers" || check === "cluster");
  expect(reached).toMatchObject([
    { subject: "source", check: "brokers", status: "passed" },
    { subject: "source", check: "cluster", status: "passed" },
    { subject: "target", check: "brokers", status: "passed" },
    { subject: "target", check: "cluster", status: "passed" },
  ]);
});

/** The last of all protocols. */
test("S5 nothing that the commands said or stored holds a password, a token or a key", async () => {
  expect(said.length).toBeGreaterThan(protocols.length * 20);
  expect(secretsIn(said.join(""))).toEqual([]);
  const backups = join(folder, "backups");
  const stored = await readdir(backups, { recursive: true, withFileTypes: true });
  const files = stored.filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(protocols.length * 10);
  for (const { parentPath, name } of files) {
    const file = join(parentPath, name);
    expect(secretsIn(await readFile(file, "latin1")), file).toEqual([]);
  }
});

describe("--command-config", () => {
  const failure = async (...argv: string[]) => {
    const io = fakeIo({ env: {} });
    const exitCode = await run(argv, io);
    return { exitCode, err: io.err() };
  };

  test("refuses a file whose section says how to log in, too", async () => {
    const properties = join(folder, "plain.properties");
    await writeFile(properties, "security.protocol=PLAINTEXT\n");
    const file = await fileOf("backup", {
      ...{ mode: "backup", backup_id: "twice", storage: { backend: "memory" } },
      source: {
        bootstrap_servers: kafka.listeners.MUTUAL!,
        ...{ security_protocol: "SSL", topics: { include: ["*"] } },
      },
    });
    const { exitCode, err } = await failure(
      "backup",
      "--config",
      file,
      "--command-config",
      properties,
    );
    expect(exitCode).toBe(exitCodes.usage);
    expect(err).toContain("source.security_protocol: says how to log in, and so does");
  });

  test("without brokers, in the file or beside it, is told", async () => {
    const properties = join(folder, "none.properties");
    await writeFile(properties, "security.protocol=PLAINTEXT\nlinger.ms=5\n");
    const { exitCode, err } = await failure(
      ...["offset-rollback", "snapshot", "--path", folder, "--groups", "g"],
      ...["--command-config", properties],
    );
    expect(exitCode).toBe(exitCodes.usage);
    expect(err).toContain("none.properties has no bootstrap.servers");
    expect(err).toContain("these do nothing here: linger.ms");
  });

  test("names a file that is not there", async () => {
    const { exitCode, err } = await failure(
      ...["offset-rollback", "snapshot", "--path", folder, "--groups", "g"],
      ...["--command-config", join(folder, "missing.properties")],
    );
    expect(exitCode).toBe(exitCodes.usage);
    expect(err).toMatch(/--command-config .*missing\.properties: ENOENT/);
  });
});
