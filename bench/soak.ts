/**
 * `npm run bench:soak`: incremental backups, one after the other, of a topic that a transactional
 * producer writes to all the while; every other one is killed at a random moment. At the end the
 * backup is validated to its last byte, restored, and compared with its source by what Kafka's own
 * consumer sees. Ends with 1 where anything differs.
 *
 *   npm run bench:soak -- --minutes 60 --seed 7
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { runEngine } from "./engine-process.ts";
import { run } from "./measured.ts";
import { randomFrom, writePayloads } from "./payload.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = join(root, "bin/kafka-backup");
const printRecords = join(root, "local/java/PrintRecords.java");
const topic = "soak";
const restoredTopic = "soak-restored";
const partitionCount = 4;
const recordsPerSecond = 2_000;
const transactionMs = 500;
/** Small, so that a run that is killed has often stored something that the next one takes up. */
const segmentBytes = "1MiB";
const pauseMaxMs = 6_000;
/** What a process takes before it asks for the lease. */
const startMs = 500;

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
  },
});

interface Place {
  readonly kafka: LocalKafka;
  readonly folder: string;
}

interface Tally {
  runs: number;
  killed: number;
  /** Runs that took up what a killed one had left. */
  resumed: number;
}

function configOf({ kafka, folder }: Place, mode: "backup" | "restore") {
  const bootstrap_servers = [kafka.bootstrapServers];
  return {
    ...{ mode, backup_id: "soak", storage: { backend: "filesystem", path: join(folder, "store") } },
    ...(mode === "backup"
      ? {
          source: { bootstrap_servers, topics: { include: [topic] } },
          backup: { checkpoint_interval_secs: 1, segment_max_bytes: segmentBytes },
        }
      : {
          target: { bootstrap_servers, topics: { include: [topic] } },
          restore: { topic_mapping: { [topic]: restoredTopic } },
        }),
  };
}

/** A whole run and its result as JSON. */
async function runCommand(place: Place, mode: "backup" | "restore") {
  const stdout = await run(process.execPath, await argumentsOf(place, mode));
  return JSON.parse(stdout);
}

async function argumentsOf(place: Place, mode: "backup" | "restore"): Promise<string[]> {
  const file = join(place.folder, `${mode}.json`);
  await writeFile(file, JSON.stringify(configOf(place, mode)));
  return [program, mode, "--config", file, "--format", "json", "--log-level", "error"];
}

/** True where the run was still there to be killed. */
async function runAndKill(place: Place, afterMs: number): Promise<boolean> {
  const args = await argumentsOf(place, "backup");
  const child = spawn(process.execPath, args, { stdio: "ignore" });
  const ended = new Promise<NodeJS.Signals | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (_, signal) => resolve(signal));
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), afterMs);
  const signal = await ended;
  clearTimeout(timer);
  return signal === "SIGKILL";
}

/** Writes for so long, in transactions, at a steady rate. */
function produceFor({ kafka, folder }: Place, seconds: number): Promise<string> {
  return run("java", [
    ...["-Xmx256m", "-cp", kafka.classpath, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"],
    ...["org.apache.kafka.tools.ProducerPerformance", "--topic", topic],
    ...["--bootstrap-server", kafka.bootstrapServers],
    ...["--num-records", String(recordsPerSecond * seconds)],
    ...["--throughput", String(recordsPerSecond), "--transaction-duration-ms", `${transactionMs}`],
    ...["--payload-file", join(folder, "payloads"), "--command-property", "acks=all"],
  ]);
}

async function backUpWhile(place: Place, producing: Promise<unknown>, random: () => number) {
  const tally: Tally = { runs: 0, killed: 0, resumed: 0 };
  let isOver = false;
  /** Of the last whole run, from its lease on: one that is killed dies within as long. */
  let runMs = 1_000;
  const over = producing.finally(() => {
    isOver = true;
  });
  over.catch(() => {}); // Thrown where it is awaited, below.
  while (!isOver) {
    tally.runs += 1;
    if (random() < 0.5) {
      if (await runAndKill(place, random() * (startMs + runMs))) tally.killed += 1;
    } else {
      const { status, resumed, duration_ms } = await runCommand(place, "backup");
      if (status !== "done") throw new Error(`run ${tally.runs} ended ${status}`);
      if (resumed === true) tally.resumed += 1;
      runMs = duration_ms;
      process.stderr.write(`${tally.runs} runs, ${tally.killed} killed\n`);
    }
    await sleep(random() * pauseMaxMs);
  }
  await over;
  return tally;
}

/** Of each partition: how many records, and the SHA-256 of all that a consumer sees of them. */
async function contentsOf({ kafka }: Place, name: string): Promise<string[]> {
  const args = [kafka.bootstrapServers, "digest", name];
  const { code, stdout, stderr } = await kafka.runJava(printRecords, args);
  if (code !== 0) throw new Error(`PrintRecords ended with ${code}:\n${stderr}`);
  const lines = stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => line.split("\t").slice(1).join(" "));
}

async function soak(place: Place, minutes: number, seed: number): Promise<boolean> {
  const { kafka, folder } = place;
  await writePayloads(join(folder, "payloads"));
  const topics = [{ topic, partitionCount, replicationFactor: 1, config: {} }];
  const bootstrap_servers = [kafka.bootstrapServers];
  await runEngine({ task: "create-topics", bootstrap_servers, topics });
  const producing = produceFor(place, Math.round(minutes * 60));
  const tally = await backUpWhile(place, producing, randomFrom(seed));
  const last = await runCommand(place, "backup");
  const of = ["--path", join(folder, "store"), "--backup-id", "soak", "--format", "json"];
  const validated = await run(process.execPath, [program, "validate", "--deep", ...of]);
  const { checked, orphans } = JSON.parse(validated);
  await runCommand(place, "restore");
  const [expected, found] = [
    await contentsOf(place, topic),
    await contentsOf(place, restoredTopic),
  ];
  const isEqual = JSON.stringify(expected) === JSON.stringify(found);
  process.stdout.write(
    [
      `minutes     ${minutes}, seed ${seed}`,
      `runs        ${tally.runs}, ${tally.killed} killed, ${tally.resumed} went on from one`,
      `generation  ${last.generation}`,
      `validated   ${checked.records} records in ${checked.segments} segments`,
      `orphans     ${orphans.objects} objects, ${orphans.bytes} bytes`,
      `source      ${expected.join("\n            ")}`,
      `restored    ${isEqual ? "equal" : found.join("\n            ")}`,
      "",
    ].join("\n"),
  );
  return isEqual;
}

async function main(): Promise<number> {
  const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
  if (!(minutes > 0) || !Number.isInteger(seed)) {
    throw new Error("--minutes takes a number above 0, --seed a whole number");
  }
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-soak-"));
  const kafka = await startKafka();
  try {
    return (await soak({ kafka, folder }, minutes, seed)) ? 0 : 1;
  } finally {
    await kafka.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
