/**
 * `npm run bench`: ours beside Kafka's own ConsumerPerformance and ProducerPerformance, on a Kafka
 * that it starts, in one run. Whole processes, and also from the first request to the last durable
 * write. What the targets are is printed beside what was measured; nothing fails when one is
 * missed, for that is for people to judge: ratios hold on any machine, times do not.
 *
 *   npm run bench -- --only backup,restore-lz4    those whose names begin so
 *   npm run bench -- --runs 5 --json out.json
 *   npm run bench -- --large                      10 GB in the topic of one partition
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { kafkaVersion } from "#local/kafka-install.ts";
import { type Case, cases } from "./cases.ts";
import { writePayloads } from "./payload.ts";
import type { Section } from "./rows.ts";
import { Setting } from "./setting.ts";
import { sectionText } from "./table.ts";

const recordsDefault = 1_000_000;
const runsDefault = 3;
/** The topic of one partition has as many records as one of the four of the others. */
const onePartitionShare = 4;
const largeBytes = 10_000_000_000;

interface Options {
  readonly cases: readonly Case[];
  readonly records: number;
  readonly runs: number;
  readonly isLarge: boolean;
  readonly jsonFile: string | undefined;
}

class UsageError extends Error {}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      only: { type: "string" },
      records: { type: "string" },
      runs: { type: "string" },
      large: { type: "boolean", default: false },
      json: { type: "string" },
    },
  });
  return {
    cases: chosenCases(values.only),
    records: wholeNumber("--records", values.records) ?? recordsDefault,
    runs: wholeNumber("--runs", values.runs) ?? runsDefault,
    isLarge: values.large,
    jsonFile: values.json,
  };
}

function chosenCases(only: string | undefined): readonly Case[] {
  if (only === undefined) return cases;
  const prefixes = only.split(",").filter((prefix) => prefix !== "");
  const unknown = prefixes.find((prefix) => !cases.some(({ name }) => name.startsWith(prefix)));
  if (unknown === undefined && prefixes.length > 0) {
    return cases.filter(({ name }) => prefixes.some((prefix) => name.startsWith(prefix)));
  }
  const names = cases.map(({ name }) => name).join(", ");
  throw new UsageError(`--only ${only}: there are ${names}`);
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new UsageError(`${name} ${text}: must be a whole number from 1 on`);
}

const machine = {
  cpu: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  memory_bytes: totalmem(),
  node: process.version,
  kafka: kafkaVersion,
};

async function measureAll(options: Options, setting: Setting): Promise<Section[]> {
  const sections: Section[] = [];
  for (const { name, measure } of options.cases) {
    const section = { name, ...(await measure(setting)) };
    process.stdout.write(`\n${sectionText(section)}`);
    sections.push(section);
  }
  return sections;
}

/** The first Ctrl-C lets the process that is measured end and cleans up, the second does not. */
function onInterrupt(): AbortSignal {
  const abort = new AbortController();
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130);
    process.stderr.write("\nStopping ...\n");
    abort.abort(new Error("interrupted"));
  };
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  return abort.signal;
}

async function main(): Promise<number> {
  const options = readOptions();
  const signal = onInterrupt();
  const say = (text: string) => {
    signal.throwIfAborted();
    process.stderr.write(`${text}\n`);
  };
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-bench-"));
  // Kafka's data is kept within this folder as well, and goes with it.
  process.env.TMPDIR = folder;
  let kafka: LocalKafka | undefined;
  try {
    say(`Starting Apache Kafka ${kafkaVersion} in ${folder}`);
    kafka = await startKafka({ settings: { "log.segment.delete.delay.ms": "1000" } });
    const payloadFile = join(folder, "payloads");
    const recordBytes = await writePayloads(payloadFile);
    const { records, runs, isLarge } = options;
    const onePartitionRecords = Math.ceil(
      isLarge ? largeBytes / recordBytes : records / onePartitionShare,
    );
    const place = { kafka, folder, payloadFile };
    const setting = new Setting(place, { records, runs, onePartitionRecords }, say);
    const sections = await measureAll(options, setting);
    if (options.jsonFile !== undefined) {
      const result = { machine, records, runs, record_bytes: recordBytes, sections };
      await writeFile(options.jsonFile, `${JSON.stringify(result, null, 2)}\n`);
    }
    return 0;
  } catch (error) {
    if (signal.aborted) return 130;
    throw error;
  } finally {
    await kafka?.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
  return error instanceof UsageError ? 2 : 1;
});
