/** No container engine runs here: what can be known of docker-compose.yml by reading it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { localSettings } from "#local/settings.ts";
import { composeFile } from "#test/support/compose-file.ts";

const root = join(import.meta.dirname, "../..");
const { services, networks } = composeFile();

const texts = z.array(z.string());
const duration = z.string().regex(/^\d+(ms|s|m|h)$/);
const condition = z.enum(["service_started", "service_healthy", "service_completed_successfully"]);
/**
 * Narrower than the specification (https://github.com/compose-spec/compose-spec): what the file
 * uses of it. A key that is new here has to be looked up there.
 */
const service = z.strictObject({
  image: z.string().exactOptional(),
  build: z.string().exactOptional(),
  hostname: z.string().exactOptional(),
  profiles: texts.exactOptional(),
  depends_on: z.union([texts, z.record(z.string(), z.strictObject({ condition }))]).exactOptional(),
  ports: texts.exactOptional(),
  environment: z.record(z.string().regex(/^[A-Z][A-Z0-9_]*$/), z.string()).exactOptional(),
  volumes: texts.exactOptional(),
  entrypoint: texts.exactOptional(),
  command: z.union([z.string(), texts]).exactOptional(),
  stdin_open: z.boolean().exactOptional(),
  healthcheck: z
    .strictObject({
      test: z.string(),
      interval: duration,
      timeout: duration,
      retries: z.int().min(1),
    })
    .exactOptional(),
});
const file = z.strictObject({
  name: z.string().regex(/^[a-z0-9][a-z0-9_-]*$/),
  networks: z.record(z.string(), z.strictObject({ name: z.string() })),
  services: z.record(z.string().regex(/^[a-zA-Z0-9._-]+$/), service),
});

test("the file says nothing that was not looked up in the specification", () => {
  expect(file.safeParse(composeFile()).error).toBeUndefined();
});

describe.each(Object.entries(services))("%s", (name, service) => {
  test("has an image of one version, or a build", () => {
    expect([service.image, service.build].filter((of) => of !== undefined)).toHaveLength(1);
    // A floating tag would be another program tomorrow.
    if (service.image !== undefined) expect(service.image).toMatch(/^[\w./-]+:(?!latest$)[\w.-]+$/);
  });

  test("waits for services that are there, by conditions that they can fulfil", () => {
    const { depends_on: waits = {} } = service;
    const entries = Array.isArray(waits)
      ? waits.map((on) => [on, "service_started"])
      : Object.entries(waits).map(([on, { condition }]) => [on, condition]);
    for (const [on, condition] of entries) {
      const other = services[on as string];
      expect(other, `${name} waits for ${on}`).toBeDefined();
      if (condition === "service_healthy") expect(other!.healthcheck).toBeDefined();
    }
  });

  test("listens on this machine only", () => {
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });
});

test("the names are those that guides and demos use", () => {
  expect(Object.keys(services).sort()).toEqual([
    ...["kafka-backup", "kafka-broker-1", "kafka-cli", "kafka-setup", "localstack", "minio"],
    "minio-setup",
  ]);
  const tools = Object.entries(services).filter(([, { profiles = [] }]) => profiles.length > 0);
  expect(tools.map(([name, { profiles }]) => [name, profiles])).toEqual([
    ["kafka-cli", ["tools"]],
    ["kafka-backup", ["tools"]],
  ]);
  const kafka = services["kafka-broker-1"]!.environment!;
  expect(kafka.KAFKA_ADVERTISED_LISTENERS).toContain("INSIDE://kafka-broker-1:9092");
  expect(services["kafka-backup"]!.environment).toMatchObject({
    BOOTSTRAP_SERVERS: "kafka-broker-1:9092",
    AWS_ENDPOINT_URL_S3: "http://minio:9000",
  });
  expect(services["kafka-setup"]!.environment).toMatchObject({ LARGE_TOPIC: "large_messages" });
});

test("every listener of the broker is advertised or the controller's, and has a protocol", () => {
  const kafka = services["kafka-broker-1"]!;
  const environment = kafka.environment!;
  const namesIn = (list: string) => list.split(",").map((one) => one.split(":")[0]!);
  const listeners = namesIn(environment.KAFKA_LISTENERS!);
  const advertised = namesIn(environment.KAFKA_ADVERTISED_LISTENERS!);
  expect(listeners).toEqual([...advertised.toSpliced(1, 0, "CONTROLLER")]);
  const protocols = namesIn(environment.KAFKA_LISTENER_SECURITY_PROTOCOL_MAP!);
  expect(protocols.toSorted()).toEqual(listeners.toSorted());
  expect(advertised).toContain(environment.KAFKA_INTER_BROKER_LISTENER_NAME);
  // Clients on this machine are sent to the port that they asked.
  const [port] = kafka.ports!;
  const outside = /OUTSIDE:\/\/localhost:(\d+)/.exec(environment.KAFKA_ADVERTISED_LISTENERS!)![1];
  expect(port).toBe(`127.0.0.1:${outside}:${outside}`);
});

test("functions of LocalStack reach the broker: they join its network", () => {
  expect(services.localstack!.environment!.LAMBDA_DOCKER_NETWORK).toBe(networks.default!.name);
  expect(services.localstack!.image).toBe("localstack/localstack:4.14.0");
});

describe("the settings that Docker and npm share", () => {
  test("are read by both, and each is used", () => {
    const inFile = Object.keys(parseEnv(readFileSync(join(root, ".env"), "utf8")));
    const readers = ["docker-compose.yml", "local/settings.ts"];
    const text = readers.map((file) => readFileSync(join(root, file), "utf8")).join("\n");
    expect(inFile.filter((name) => !new RegExp(`\\b${name}\\b`).test(text))).toEqual([]);
    expect(localSettings({})).toEqual({
      topics: ["orders", "payments", "events", "test-topic"],
      bucket: "kafka-backups",
      stackName: "KafkaBackup",
      region: "us-east-1",
      localstackPort: 4566,
    });
  });

  test("give way to the shell's, and are refused where they are nothing", () => {
    expect(localSettings({ BACKUP_BUCKET: "mine" }).bucket).toBe("mine");
    expect(() => localSettings({ DEMO_TOPICS: " " })).toThrow(/DEMO_TOPICS is not in/);
    expect(() => localSettings({ LOCALSTACK_PORT: "x" })).toThrow(/LOCALSTACK_PORT/);
  });
});
