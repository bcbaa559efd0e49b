/** Whole processes and what they cost. */
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

export interface Cost {
  readonly wallMs: number;
  /** User and system time of the process and its children. */
  readonly cpuMs: number;
  /** Of resident memory. */
  readonly peakBytes: number;
}

export interface Measured extends Cost {
  readonly stdout: string;
}

const measure = fileURLToPath(new URL("measure.py", import.meta.url));

/** Runs a command to its end. Throws with what it said unless it exits with 0. */
export async function measured(command: string, args: readonly string[]): Promise<Measured> {
  const costFile = join(tmpdir(), `${randomUUID()}.json`);
  try {
    const stdout = await run("python3", [measure, costFile, command, ...args]);
    const cost = JSON.parse(await readFile(costFile, "utf8"));
    return { stdout, wallMs: cost.wall_ms, cpuMs: cost.cpu_ms, peakBytes: cost.peak_bytes };
  } finally {
    await rm(costFile, { force: true });
  }
}

export async function run(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  const exit = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal!));
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  if (code === 0) return stdout;
  throw new Error(`${command} ${args.join(" ")}\nended with ${code}:\n${stdout}${stderr}`);
}
