/** The processes of a kill test: the one that dies, and the command line that comes after it. */
import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { KilledJob } from "#test/e2e/kill/killed-engine.ts";

export interface EndedProcess {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Longer than a lease's takeover and a run behind several others on a busy machine. */
const processTimeoutMs = 150_000;

/** `lastEvent` is the one after which the process ended itself. */
export interface KilledProcess extends EndedProcess {
  readonly events: readonly string[];
  readonly lastEvent: string | undefined;
}

export async function runKilled(job: KilledJob): Promise<KilledProcess> {
  const ended = await run(["test/e2e/kill/killed-engine.ts", JSON.stringify(job)]);
  const events = ended.stdout.split("\n").filter((line) => line !== "");
  return { ...ended, events, lastEvent: events.at(-1) };
}

/** Runs `kafka-backup COMMAND` on a configuration and returns what it says as JSON. */
export async function runCommand(
  command: "backup" | "restore",
  config: unknown,
  args: readonly string[] = [],
): Promise<{ readonly status: string; readonly resumed: boolean }> {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-kill-"));
  try {
    const file = join(folder, "config.yaml");
    await writeFile(file, JSON.stringify(config)); // JSON is YAML.
    const { code, stdout, stderr } = await run([
      "bin/kafka-backup",
      ...[command, "--config", file, "--format", "json", ...args],
    ]);
    if (code !== 0) throw new Error(`kafka-backup ${command} ended with ${code}:\n${stderr}`);
    return JSON.parse(stdout);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function run(args: readonly string[]): Promise<EndedProcess> {
  const child = spawn(process.execPath, ["--disable-warning=TimeoutNegativeWarning", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: processTimeoutMs,
    killSignal: "SIGTERM",
  });
  const exited = new Promise<Pick<EndedProcess, "code" | "signal">>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  const [stdout, stderr, exit] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    exited,
  ]);
  return { ...exit, stdout, stderr };
}

/**
 * Two runs do not make quite as many changes, so that a point near the end of one may lie behind
 * the end of another. Ends have cases of their own.
 */
const shareOfEveryRun = 0.9;

/** Which change to kill at, counted from 1; `point` in thousandths of those of a whole run. */
export function nthChange(point: number, changeCount: number): number {
  return 1 + Math.floor((point / 1000) * shareOfEveryRun * changeCount);
}
