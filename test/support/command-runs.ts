/** Processes of `kafka-backup` that a test starts, looks at, and may stop in mid-work. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { s3ForTests } from "#test/support/s3.ts";

export interface CommandEnd {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandRun {
  readonly ended: Promise<CommandEnd>;
  /** SIGSTOP, and SIGCONT. */
  freeze(): void;
  wake(): void;
}

/** Longer than the slowest run on a busy machine: against what hangs. */
const runTimeoutMs = 400_000;
const running = new Set<ChildProcess>();

/**
 * Starts `kafka-backup COMMAND` on a configuration, with credentials for the S3 emulator; what it
 * prints is JSON. A file that calls this calls `endCommands` after all.
 */
export function startCommand(
  command: "backup" | "restore",
  config: unknown,
  args: readonly string[] = [],
): CommandRun {
  let child: ChildProcess | undefined;
  const signal = (name: NodeJS.Signals) => {
    if (child?.kill(name) !== true) throw new Error(`kafka-backup ${command} does not run`);
  };
  const run = async (): Promise<CommandEnd> => {
    const folder = await mkdtemp(join(tmpdir(), "kafka-backup-run-"));
    try {
      const file = join(folder, "config.yaml");
      await writeFile(file, JSON.stringify(config)); // JSON is YAML.
      const options = ["--config", file, "--format", "json", ...args];
      const started = spawn(process.execPath, ["bin/kafka-backup", command, ...options], {
        stdio: ["ignore", "pipe", "pipe"],
        env: { ...process.env, ...credentials() },
      });
      child = started;
      running.add(started);
      const timer = setTimeout(() => started.kill("SIGKILL"), runTimeoutMs);
      const exit = new Promise<number | null>((resolve, reject) => {
        started.once("error", reject);
        started.once("close", resolve);
      });
      const [stdout, stderr, code] = await Promise.all([
        text(started.stdout),
        text(started.stderr),
        exit,
      ]);
      clearTimeout(timer);
      running.delete(started);
      return { code, stdout, stderr };
    } finally {
      await rm(folder, { recursive: true });
    }
  };
  const ended = run();
  ended.catch(() => {}); // Thrown where it is awaited.
  return { ended, freeze: () => signal("SIGSTOP"), wake: () => signal("SIGCONT") };
}

/** The result of a run that ends with `code`. */
export async function resultOf<Result>(run: CommandRun, code = 0): Promise<Result> {
  const ended = await run.ended;
  if (ended.code === code) return JSON.parse(ended.stdout);
  throw new Error(`kafka-backup ended with ${ended.code} instead of ${code}:\n${ended.stderr}`);
}

/** Resolves with `held`, at which the run waits; rejects where the run ends before. */
export async function whenHeld<Held>(run: CommandRun, held: Promise<Held>): Promise<Held> {
  const early = run.ended.then(({ code, stderr }): never => {
    throw new Error(`it ended with ${code} before it was held:\n${stderr}`);
  });
  return Promise.race([held, early]);
}

/** Ends what a test that failed has left, frozen or not. */
export function endCommands(): void {
  for (const child of running) child.kill("SIGKILL");
}

function credentials(): Record<string, string> {
  const { accessKeyId, secretAccessKey } = s3ForTests();
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}
