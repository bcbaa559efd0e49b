/** What `doctor` finds of brokers that are not where they say that they are. */
import { connect, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { freePort } from "#local/processes.ts";
import { examine, linesOf, seenOf } from "#test/support/doctor.ts";
import { startFaultProxy } from "#test/support/fault-proxy.ts";
import { kafkaForTests, randomName } from "#test/support/kafka.ts";

let kafka: LocalKafka;
let deadPort: number;
/** Leads to the TLS listener by an address that the broker's certificate does not name. */
let detour: Server;
const detourHost = "127.0.0.2";
let detourPort: number;

beforeAll(async () => {
  deadPort = await freePort();
  detour = createServer((client) => {
    const upstream = connect(Number(kafka.listeners.TLS!.split(":")[1]), "127.0.0.1");
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => detour.listen(0, detourHost, resolve));
  detourPort = (detour.address() as { port: number }).port;
  kafka = await startKafka({
    listeners: [{ name: "TLS", protocol: "SSL" }],
    settings: {
      "advertised.listeners": `PLAINTEXT://127.0.0.1:${deadPort},TLS://${detourHost}:${detourPort}`,
    },
  });
});
afterAll(async () => {
  await kafka?.stop();
  detour.close();
});

const examineFrom = (connection: ClusterConfig) =>
  examine({
    backup_id: "nightly",
    connection,
    include: ["*"],
    storage: { backend: "memory", name: randomName("doctor") },
  });

test("a broker that advertises an address where nobody is, is told with both addresses", async () => {
  const { bootstrapServers } = kafka;
  const report = await examineFrom({ bootstrap_servers: [bootstrapServers] });
  expect(linesOf(report)).toContainEqual(
    expect.stringMatching(
      `^error advertised-unreachable: bootstrap server ${bootstrapServers} answers, but broker 1 ` +
        `advertises itself as 127.0.0.1:${deadPort}, and there: .*ECONNREFUSED`,
    ),
  );
  const finding = report.findings.find(({ code }) => code === "advertised-unreachable");
  expect(finding?.remedy).toContain("Set advertised.listeners of broker 1");
  expect(seenOf(report, "brokers")).toMatch(/^0 of 1 brokers reached as advertised, cluster /);
  // The storage is examined all the same.
  expect(seenOf(report, "conditional-writes")).toBe("1 of 20 simultaneous writers of one key won");
});

test("a broker whose certificate does not name its advertised address is told", async () => {
  const report = await examineFrom({
    bootstrap_servers: [kafka.listeners.TLS!],
    security_protocol: "SSL",
    ssl_ca: kafka.certificates!.ca,
  });
  expect(linesOf(report)).toContainEqual(
    expect.stringMatching(
      `^error advertised-refused: .*broker 1 advertises itself as ${detourHost}:${detourPort}.*` +
        "the certificate .* is not accepted: .*ALTNAME_INVALID",
    ),
  );
});

test("a bootstrap server that never answers is told, and another one is gone on with", async () => {
  const shared = kafkaForTests().bootstrapServers;
  const proxy = await startFaultProxy(Number(shared.split(":")[1]));
  proxy.set({ kind: "silent" });
  try {
    const report = await examineFrom({ bootstrap_servers: [proxy.address, shared] });
    expect(linesOf(report)).toContainEqual(
      expect.stringMatching(`^warning bootstrap-unreachable: bootstrap server ${proxy.address}`),
    );
    expect(seenOf(report, "brokers")).toMatch(/^1 of 1 brokers reached as advertised/);
    expect(seenOf(report, "topics")).toMatch(/ partitions selected$/);
  } finally {
    await proxy.stop();
  }
});

test("bootstrap servers of two clusters are told apart", async () => {
  const shared = kafkaForTests().bootstrapServers;
  const report = await examineFrom({ bootstrap_servers: [shared, kafka.bootstrapServers] });
  expect(linesOf(report)).toContainEqual(
    expect.stringMatching(
      `^error several-clusters: .*${shared} is of cluster .*${kafka.bootstrapServers} is of cluster`,
    ),
  );
});

test("without any broker the storage is examined, and the rest is said to be skipped", async () => {
  const nobody = `127.0.0.1:${await freePort()}`;
  const report = await examineFrom({ bootstrap_servers: [nobody] });
  expect(linesOf(report)).toEqual([
    expect.stringMatching(
      `^error bootstrap-unreachable: bootstrap server ${nobody}: .*ECONNREFUSED`,
    ),
  ]);
  const skipped = report.checks.filter(({ status }) => status === "skipped");
  expect(skipped.map(({ check }) => check)).toEqual(["cluster", "topics", "groups", "retention"]);
  expect(seenOf(report, "access")).toBe("created, read, listed and deleted objects");
});
