/** Demos as a user runs them: a script in a process group of its own, with a folder for its files. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export const root = join(import.meta.dirname, "../../..");

/** Against what hangs: a first run downloads, and a busy machine takes several times as long. */
export const demoTimeoutMs = 30 * 60_000;

export interface DemoEnd {
  readonly code: number | null;
  /** stdout and stderr, as they came. */
  readonly output: string;
}

export interface DemoOptions {
  /** Takes whatever is put into the folder for temporary files. */
  readonly folder: string;
  /** Added to the environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Once what was printed matches: sent to the process, or, as the terminal does, to its group. */
  readonly stop?: {
    readonly when: RegExp;
    readonly signal: NodeJS.Signals;
    readonly to: "process" | "group";
  };
}

/** `command`: below the project's folder. Rejects when it cannot be started. */
export async function runDemo(
  command: string,
  args: readonly string[],
  { folder, env, stop }: DemoOptions,
): Promise<DemoEnd> {
  const demo = spawn(join(root, command), args, {
    cwd: root,
    detached: true,
    env: { ...process.env, BOOTSTRAP_SERVERS: undefined, TMPDIR: folder, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let isStopped = false;
  for (const stream of [demo.stdout, demo.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (stop === undefined || isStopped || !stop.when.test(output)) return;
      isStopped = true;
      process.kill(stop.to === "group" ? -demo.pid! : demo.pid!, stop.signal);
    });
  }
  const [code] = (await once(demo, "close")) as [number | null];
  if (stop !== undefined && !isStopped) throw new Error(`it ended before:\n${output}`);
  return { code, output };
}
