/**
 * `npm run test:servers [NAME...]`: the storage contract on servers that `npm test` does not start,
 * the core suite on older versions of Kafka, and logs of older formats, one after the other; then a
 * table of what came of each. NAME is the start of a server's name. Ends with 1 where any test
 * failed or none ran.
 */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Table from "cli-table3";
import { azuriteVersion } from "#local/azurite.ts";
import { fakeGcsServerVersion } from "#local/fake-gcs-server.ts";
import { kafkaVersions } from "#local/kafka-install.ts";
import { kafkaOnZookeeperVersion } from "#local/kafka-zookeeper.ts";
import { versitygwVersion } from "#local/versitygw.ts";

interface Row {
  readonly server: string;
  readonly suite: string;
  readonly project: "servers" | "services";
  readonly files: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Of Vitest's JSON report; pending are those that `runIf` leaves out. */
interface Counts {
  readonly numTotalTests: number;
  readonly numPassedTests: number;
  readonly numPendingTests: number;
}

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** Of what this version of the server does not have. */
  readonly leftOut: number;
  readonly seconds: number;
}

/** What moves records and offsets, on a real broker. */
const coreSuite = ["backup", "engine", "kafka", "offsets", "restore", "segment"];

const [, ...olderKafkas] = kafkaVersions;

const rows: readonly Row[] = [
  storage(`versitygw ${versitygwVersion}`, "storage-versitygw"),
  storage(`azurite ${azuriteVersion}`, "storage-azurite"),
  storage(`fake-gcs-server ${fakeGcsServerVersion}`, "storage-fake-gcs-server"),
  ...olderKafkas.map(
    (version): Row => ({
      server: `kafka ${version}`,
      suite: "core",
      project: "services",
      files: coreSuite.map((folder) => `test/integration/${folder}`),
      env: { LOCAL_KAFKA_VERSION: version },
    }),
  ),
  {
    server: `kafka ${kafkaOnZookeeperVersion} on zookeeper`,
    suite: "message sets of magic 0 and 1",
    project: "servers",
    files: ["test/servers/kafka-old-log.test.ts"],
  },
];

function storage(server: string, file: string): Row {
  const files = [`test/servers/${file}.test.ts`];
  return { server, suite: "storage contract", project: "servers", files };
}

async function run({ project, files, env }: Row): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "test-servers-"));
  const report = join(folder, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const startedMs = performance.now();
  const vitest = spawn("vitest", ["run", "--project", project, ...reporters, ...files], {
    stdio: "inherit",
    env: { ...process.env, ...env, TEST_SERVERS: "true" },
  });
  const code = await new Promise<number>((resolve, reject) => {
    vitest.once("error", reject);
    vitest.once("exit", (status) => resolve(status ?? 1));
  });
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  const counts = await readFile(report, "utf8").then(
    (text) => JSON.parse(text) as Counts,
    (): Counts => ({ numTotalTests: 0, numPassedTests: 0, numPendingTests: 0 }),
  );
  await rm(folder, { recursive: true, force: true });
  const { numTotalTests: total, numPassedTests: passed, numPendingTests: leftOut } = counts;
  // A file that could not be loaded fails the run without a test that does.
  const failed = Math.max(total - passed - leftOut, code === 0 && passed > 0 ? 0 : 1);
  return { passed, failed, leftOut, seconds };
}

const wanted = process.argv.slice(2);
const chosen = rows.filter(
  ({ server }) => wanted.length === 0 || wanted.some((name) => server.startsWith(name)),
);
const table = new Table({ head: ["server", "suite", "passed", "failed", "left out", "seconds"] });
let failures = chosen.length === 0 ? 1 : 0;
for (const row of chosen) {
  const { passed, failed, leftOut, seconds } = await run(row);
  failures += failed;
  table.push([row.server, row.suite, passed, failed, leftOut, seconds]);
}
process.stdout.write(`${table.toString()}\n`);
process.exitCode = failures === 0 ? 0 : 1;
