/**
 * `npm run demo`: a real Kafka, a faulty release, a backup that holds its damage, and a restore to
 * the millisecond before it. Kafka's own producer writes, Kafka's own consumer judges.
 *
 *   npm run demo                 some 20 s, and as much more the first time, to fetch Kafka
 *   npm run demo -- --keep       leaves Kafka and the files until Ctrl-C, to look around
 *
 * Ends with 0 when all is as claimed, 1 when not, 130 after Ctrl-C.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { kafkaVersion } from "#local/kafka-install.ts";
import { commandText, kafkaBackup, writeConfig } from "./command-line.ts";
import { claimsAbout } from "./evidence.ts";
import { recordsOf, type SeenRecord } from "./seen-records.ts";
import { batchesOf } from "./source-log.ts";

const topic = "orders";
const restoredTopic = "orders-restored";
const everythingTopic = "orders-everything";
const minuteMs = 60_000;

interface Times {
  readonly first: number;
  /** Of the last order before the faulty release: the point to go back to. */
  readonly lastGood: number;
  readonly last: number;
}

interface Stage {
  readonly folder: string;
  readonly kafka: LocalKafka;
  /** Says what happens next; throws when the user wants to stop. */
  say(text: string): void;
}

const makeOrders = fileURLToPath(new URL("MakeOrders.java", import.meta.url));
const print = (text: string) => process.stdout.write(`${text}\n`);
const indented = (text: string) => text.trimEnd().replaceAll(/^(?=.)/gm, "    ");
const iso = (ms: number) => new Date(ms).toISOString();
const timeOfDay = (ms: number) => iso(ms).slice(11, 23);
const count = new Intl.NumberFormat("en-US");

/** Ten minutes of orders that ended just now; the release went live two minutes before the end. */
function timesOf(nowMs: number): Times {
  return { first: nowMs - 10 * minuteMs, lastGood: nowMs - 2 * minuteMs, last: nowMs - 1_000 };
}

async function produce({ kafka, say }: Stage, { first, lastGood, last }: Times) {
  say(`Kafka's own producer writes topic ${topic}: 3 partitions, lz4 batches ...`);
  const times = [first, lastGood, last].map(String);
  const args = [kafka.bootstrapServers, topic, ...times];
  const { code, stdout, stderr } = await kafka.runJava(makeOrders, args);
  if (code !== 0) throw new Error(`MakeOrders ended with ${code}:\n${stderr}`);
  const [good, faulty] = stdout.trim().split(" ").map(Number);
  if (!good || !faulty) throw new Error(`MakeOrders printed ${JSON.stringify(stdout)}`);
  const written = `${count.format(good)} good and ${count.format(faulty)} faulty orders`;
  print(`
    ${timeOfDay(first)}  first order
    ${timeOfDay(lastGood)}  last good order              <- the point to go back to
    ${timeOfDay(lastGood + 1)}  first order of the faulty release, in the same record batch
    ${timeOfDay(last)}  last faulty order
    ${timeOfDay(Date.now())}  now (UTC): ${written} are in Kafka
`);
  return { good, faulty };
}

async function run(args: readonly string[]): Promise<void> {
  print(`    ${commandText(args)}`);
  print(`${indented(await kafkaBackup(args))}\n`);
}

async function backUp({ folder, kafka, say }: Stage): Promise<void> {
  say("The backup is taken now, after the fault, and holds all of it:");
  const config = await writeConfig(folder, "backup.yaml", {
    mode: "backup",
    backup_id: "shop",
    source: { bootstrap_servers: [kafka.bootstrapServers], topics: { include: [topic] } },
    storage: { backend: "filesystem", path: join(folder, "backups") },
  });
  await run(["backup", "--config", config]);
}

async function restore(
  { folder, kafka }: Stage,
  target: string,
  options: readonly string[] = [],
): Promise<void> {
  const config = await writeConfig(folder, `${target}.yaml`, {
    mode: "restore",
    backup_id: "shop",
    target: { bootstrap_servers: [kafka.bootstrapServers] },
    storage: { backend: "filesystem", path: join(folder, "backups") },
    restore: { topic_mapping: { [topic]: target } },
  });
  await run(["restore", "--config", config, ...options]);
}

/** Prints what was found and whether each claim holds; returns whether all do. */
async function prove(
  { kafka, say }: Stage,
  produced: { good: number; faulty: number },
  bound: bigint,
): Promise<boolean> {
  say("Kafka's own consumer reads the three topics, and DumpLogSegments the source's batches:");
  const topics = [topic, everythingTopic, restoredTopic];
  const records = await recordsOf(kafka, topics);
  const source = records.get(topic)!;
  const partitions = [...new Set(source.map(({ partition }) => partition))];
  const sourceBatches = await batchesOf(kafka, topic, partitions);
  print(`\n${indented(countsTable(records))}\n`);
  const claims = claimsAbout({
    ...{ produced, bound, source, sourceBatches },
    everything: records.get(everythingTopic)!,
    restored: records.get(restoredTopic)!,
  });
  for (const { text, holds } of claims) print(`    ${holds ? "yes" : " NO"}  ${text}`);
  return claims.every(({ holds }) => holds);
}

function countsTable(records: ReadonlyMap<string, readonly SeenRecord[]>): string {
  const lines = [...records].map(([name, found]) => {
    const faulty = found.filter(({ isFaulty }) => isFaulty).length;
    const numbers = [found.length, found.length - faulty, faulty];
    return name.padEnd(20) + numbers.map((n) => count.format(n).padStart(10)).join("");
  });
  const head =
    "topic".padEnd(20) + ["records", "good", "faulty"].map((h) => h.padStart(10)).join("");
  return [head, ...lines].join("\n");
}

async function demonstrate(stage: Stage): Promise<boolean> {
  const times = timesOf(Date.now());
  const produced = await produce(stage, times);
  await backUp(stage);
  stage.say(`To the millisecond before the faulty release, as topic ${restoredTopic}:`);
  await restore(stage, restoredTopic, ["--time-window-end", iso(times.lastGood)]);
  stage.say(`And once without a bound, as topic ${everythingTopic}, to see what the backup holds:`);
  await restore(stage, everythingTopic);
  return prove(stage, produced, BigInt(times.lastGood));
}

class Interrupted extends Error {}

/**
 * The first Ctrl-C lets the step under way end (the terminal ends its processes) and cleans up;
 * the second ends at once, and the guard that stands beside Kafka ends that.
 */
function onInterrupt(): AbortSignal {
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    print("\nStopping ...");
    abort.abort();
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  return abort.signal;
}

async function untilInterrupted(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await sleep(minuteMs, undefined, { signal }).catch(() => {});
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { keep: { type: "boolean", default: false } } });
  const startedAtMs = performance.now();
  const signal = onInterrupt();
  const say = (text: string) => {
    if (signal.aborted) throw new Interrupted();
    print(text);
  };
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-demo-"));
  // Kafka's folder is made within this one, and goes with it even when its start is interrupted.
  process.env.TMPDIR = folder;
  let kafka: LocalKafka | undefined;
  try {
    say(
      `Starting Apache Kafka ${kafkaVersion}, one node (the first time it is fetched: 55 MB) ...`,
    );
    kafka = await startKafka();
    say(`It listens on ${kafka.bootstrapServers}; everything is kept in ${folder}\n`);
    const isProven = await demonstrate({ folder, kafka, say });
    const seconds = Math.round((performance.now() - startedAtMs) / 1000);
    print(`\n${isProven ? "All is as claimed" : "NOT all is as claimed"}, ${seconds} s.`);
    if (values.keep) {
      print(`Kafka ${kafka.bootstrapServers} and ${folder} stay until Ctrl-C.`);
      await untilInterrupted(signal);
    }
    return isProven ? 0 : 1;
  } catch (error) {
    if (signal.aborted) return 130;
    throw error;
  } finally {
    await kafka?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    print("Kafka is stopped; its files and the backup are removed.");
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});
