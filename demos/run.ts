/**
 * `npm run demos`: runs the demos one after the other, each with its own Kafka and S3 (or on those
 * that BOOTSTRAP_SERVERS and AWS_ENDPOINT_URL_S3 name), and prints what became of each.
 *
 *   npm run demos                                  all of them
 *   npm run demos -- cli/backup-basic python       some: whole names, or a part between slashes
 *   npm run demos -- --list                        their names
 *
 * One demo talks to the terminal, several to files. Ends with 0 when all have shown what they say, 1
 * when not, 2 when there is no such demo, 130 after Ctrl-C.
 */
import { closeSync, openSync, readdirSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { cacheDir, type ProcessExit, runGroup } from "#local/processes.ts";

const folder = import.meta.dirname;
const tailLines = 15;
/** A demo that is stopped ends its applications (30 s at most), then Kafka and the S3 (10 s each). */
const stopGraceMs = 60_000;

type Result = "shown" | "FAILED" | "stopped" | "not run";

interface Outcome {
  readonly name: string;
  readonly result: Result;
  readonly seconds?: number;
}

/** `cli/backup-basic`: what has a demo.sh, in alphabetical order. */
function allDemos(): string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return paths
    .filter((path) => path.endsWith("/demo.sh"))
    .map(dirname)
    .sort();
}

/** The demos that were asked for, each once, in alphabetical order. Undefined: a name is unknown. */
function choose(names: readonly string[], all: readonly string[]): string[] | undefined {
  const matches = (name: string, demo: string) => demo === name || demo.split("/").includes(name);
  if (names.some((name) => !all.some((demo) => matches(name, demo)))) return undefined;
  return all.filter((demo) => names.length === 0 || names.some((name) => matches(name, demo)));
}

async function runOne(name: string, logFile: string | undefined, signal: AbortSignal) {
  const output = logFile === undefined ? undefined : openSync(logFile, "w");
  const startedAtMs = performance.now();
  try {
    const exit = await runGroup(join(folder, name, "demo.sh"), [], {
      env: {},
      signal,
      graceMs: stopGraceMs,
      ...(output !== undefined && { output }),
    });
    const seconds = Math.round((performance.now() - startedAtMs) / 1000);
    return { name, seconds, result: resultOf(exit, signal) };
  } finally {
    if (output !== undefined) closeSync(output);
  }
}

function resultOf({ code }: ProcessExit, signal: AbortSignal): Result {
  if (signal.aborted) return "stopped";
  return code === 0 ? "shown" : "FAILED";
}

async function lastLines(file: string): Promise<string> {
  const lines = (await readFile(file, "utf8")).trimEnd().split("\n");
  return lines.slice(-tailLines).join("\n").replaceAll(/^/gm, "    ");
}

async function runAll(demos: readonly string[], signal: AbortSignal): Promise<Outcome[]> {
  const isOne = demos.length === 1;
  const logs = join(cacheDir(), "logs", "demos");
  await mkdir(logs, { recursive: true });
  const outcomes: Outcome[] = [];
  for (const name of demos) {
    if (signal.aborted) {
      outcomes.push({ name, result: "not run" });
      continue;
    }
    const logFile = isOne ? undefined : join(logs, `${name.replaceAll("/", "-")}.log`);
    if (logFile !== undefined) print(`${name}  (${logFile})`);
    const outcome = await runOne(name, logFile, signal);
    outcomes.push(outcome);
    if (outcome.result === "FAILED" && logFile !== undefined) print(await lastLines(logFile));
  }
  return outcomes;
}

function tableOf(outcomes: readonly Outcome[]): string {
  const width = Math.max(...outcomes.map(({ name }) => name.length));
  const line = (name: string, seconds: string, result: string) =>
    `${name.padEnd(width)}  ${seconds.padStart(5)}  ${result}`;
  const rows = outcomes.map(({ name, seconds, result }) =>
    line(name, seconds === undefined ? "" : `${seconds} s`, result),
  );
  return [line("demo", "time", "result"), ...rows].join("\n");
}

const print = (text: string) => process.stdout.write(`${text}\n`);

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { list: { type: "boolean", default: false } },
  });
  const all = allDemos();
  if (values.list) {
    print(all.join("\n"));
    return 0;
  }
  const demos = choose(positionals, all);
  if (demos === undefined) {
    process.stderr.write(`There is no such demo. There are:\n  ${all.join("\n  ")}\n`);
    return 2;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => stop.abort());
  }
  const outcomes = await runAll(demos, stop.signal);
  print(`\n${tableOf(outcomes)}`);
  if (stop.signal.aborted) return 130;
  return outcomes.every(({ result }) => result === "shown") ? 0 : 1;
}

process.exitCode = await main();
