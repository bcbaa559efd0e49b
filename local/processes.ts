/**
 * Child processes for the real services that demos, tests and the benchmark run against. Each is
 * the leader of its own process group, so that whatever it starts ends with it.
 *
 * A parent may die in ways that run no exit hook (SIGKILL, a crash). Beside every process stands
 * a guard: a shell that does nothing but read from a pipe whose other end only the parent holds.
 * However the parent ends, the kernel closes the pipe and the guard ends the group.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { link, mkdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export interface ProcessOptions {
  /** For messages: `kafka`, `ministack`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Added to this process's own environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Takes stdout and stderr, appended; its folder is created. */
  readonly logFile: string;
  /** Asked every 50 ms until it says true. A rejection counts as false. */
  readonly ready: () => Promise<boolean>;
  readonly readyTimeoutMs: number;
}

export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  /** Also the id of its process group. */
  readonly pid: number;
  /** Resolves, and never rejects, when the process has ended, however it did. */
  readonly exited: Promise<ProcessExit>;
  /**
   * Sends `signal` (SIGTERM when not given) to the group and waits; what is left after 10 s gets
   * SIGKILL. Idempotent.
   */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const readyPollMs = 50;
const stopGraceMs = 10_000;
const killWaitMs = 2_000;
const logTailLines = 20;

/**
 * Starts a process and waits until it is ready. When it ends before that, or is not ready in
 * time, it is stopped and the error carries the last lines of its log.
 */
export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const running = await spawnGroup(options);
  let exit: ProcessExit | undefined;
  void running.exited.then((value) => {
    exit = value;
  });
  const deadlineMs = performance.now() + options.readyTimeoutMs;
  while (!(await options.ready().catch(() => false))) {
    if (exit !== undefined) {
      const how = exit.signal ?? `exit code ${exit.code}`;
      await running.stop();
      throw new Error(`${options.name} ended while starting (${how})${await logTail(options)}`);
    }
    if (performance.now() > deadlineMs) {
      await running.stop();
      const seconds = Math.round(options.readyTimeoutMs / 1000);
      throw new Error(`${options.name} was not ready after ${seconds} s${await logTail(options)}`);
    }
    await sleep(readyPollMs);
  }
  return running;
}

async function spawnGroup(options: ProcessOptions): Promise<RunningProcess> {
  await mkdir(dirname(options.logFile), { recursive: true });
  const log = openSync(options.logFile, "a");
  const child = spawn(options.command, options.args, {
    detached: true,
    stdio: ["ignore", log, log],
    env: { ...process.env, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  closeSync(log);
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error: NodeJS.ErrnoException) => {
      reject(new Error(`cannot start ${options.name}: ${options.command}: ${error.code}`));
    });
  });
  child.on("error", () => {}); // A failed kill: `stop` looks at the group itself.
  const pid = child.pid!;
  const guard = startGuard(pid);
  // A script that is done may end without waiting for its services: the guard ends them.
  child.unref();
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    await endGroup(pid, signal);
    await exited;
    guard.kill("SIGKILL");
  };
  return { pid, exited, stop };
}

/**
 * Runs a command to its end in a group of its own, on this process's stdin, stdout and stderr. When
 * `signal` aborts, the group gets SIGTERM and what is left after `graceMs` (10 s unless given)
 * SIGKILL; nothing of it is left when this resolves.
 */
export async function runGroup(
  command: string,
  args: readonly string[],
  options: {
    /** Added to this process's own environment; undefined removes a variable. */
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly signal: AbortSignal;
    /** Descriptor of a file that takes stdout and stderr instead. */
    readonly output?: number;
    /** Longer for what has services of its own to end. */
    readonly graceMs?: number;
  },
): Promise<ProcessExit> {
  const output = options.output ?? "inherit";
  const child = spawn(command, args, {
    detached: true,
    stdio: ["inherit", output, output],
    env: { ...process.env, ...options.env },
  });
  const exited = new Promise<ProcessExit>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error: NodeJS.ErrnoException) => {
      reject(new Error(`cannot start ${command}: ${error.code}`));
    });
  });
  const pid = child.pid!;
  const guard = startGuard(pid);
  const end = () => void endGroup(pid, "SIGTERM", options.graceMs);
  options.signal.addEventListener("abort", end, { once: true });
  if (options.signal.aborted) end();
  const exit = await exited;
  options.signal.removeEventListener("abort", end);
  // What the command left running in the background.
  await endGroup(pid, "SIGTERM", options.graceMs);
  guard.kill("SIGKILL");
  return exit;
}

/** `$0` is the group: TERM when the pipe closes, KILL for what is left three seconds later. */
const guardScript = 'read -r _; kill -s TERM -- "-$0"; sleep 3; kill -s KILL -- "-$0"';

function startGuard(groupId: number): ChildProcess {
  const guard = spawn("sh", ["-c", guardScript, String(groupId)], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.on("error", () => {}); // Without a shell there is no guard; `stop` does not need it.
  guard.stdin?.on("error", () => {});
  guard.unref();
  (guard.stdin as { unref?: () => void } | null)?.unref?.();
  return guard;
}

async function endGroup(
  groupId: number,
  signal: NodeJS.Signals,
  graceMs: number = stopGraceMs,
): Promise<void> {
  signalGroup(groupId, signal);
  const killAtMs = performance.now() + graceMs;
  while (signalGroup(groupId, 0)) {
    const overdueMs = performance.now() - killAtMs;
    if (overdueMs > 0) signalGroup(groupId, "SIGKILL");
    // What is still listed then is dead and waits for an init that does not collect it.
    if (overdueMs > killWaitMs) return;
    await sleep(10);
  }
}

/** Whether the group still has members; signal 0 only asks. */
function signalGroup(groupId: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-groupId, signal);
    return true;
  } catch {
    return false;
  }
}

async function logTail(options: ProcessOptions): Promise<string> {
  const text = await readFile(options.logFile, "utf8").catch(() => "");
  const lines = text.trimEnd().split("\n").slice(-logTailLines);
  return `; the end of ${options.logFile}:\n${lines.join("\n")}`;
}

/** Runs a command to its end. Throws with the last lines of what it said when it fails. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options: {
    readonly cwd?: string;
    /** Added to this process's own environment; undefined removes a variable. */
    readonly env?: Readonly<Record<string, string | undefined>>;
  } = {},
): Promise<string> {
  const child = spawn(command, args, {
    ...options,
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => output.push(chunk));
  const code = await new Promise<number | string | null>((resolve) => {
    child.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    child.once("close", (exitCode, signal) => resolve(exitCode ?? signal));
  });
  const text = Buffer.concat(output).toString();
  if (code === 0) return text;
  const tail = text.trimEnd().split("\n").slice(-logTailLines).join("\n");
  throw new Error(`${command} ${args.join(" ")} failed (${code}):\n${tail}`);
}

/** Below what Linux (32768) and macOS (49152) give to outgoing connections, which could collide. */
const portMin = 20_000;
const portMax = 32_767;
const portAttemptsMax = 200;
const portsGiven = new Set<number>();

/** A loopback port that nothing listens on now and that this process did not get before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < portAttemptsMax; attempt++) {
    const port = randomInt(portMin, portMax + 1);
    if (!portsGiven.has(port) && (await canListen(port))) {
      portsGiven.add(port);
      return port;
    }
  }
  throw new Error(`no free port found on 127.0.0.1 in ${portMin} to ${portMax}`);
}

/** `port` where one is wanted, else a free one. Throws one line when something listens on it. */
export async function wantedPort(port: number | undefined): Promise<number> {
  if (port === undefined) return freePort();
  if (await canListen(port)) return port;
  throw new Error(`port ${port} on 127.0.0.1 is taken`);
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      server.close(() => resolve(true));
    });
  });
}

/** The project's `.cache` folder, which git ignores: installed services, their data and logs. */
export function cacheDir(): string {
  const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), ".cache");
  mkdirSync(folder, { recursive: true });
  return folder;
}

const lockPollMs = 200;
/** Longer than any install here takes on a slow line. */
const lockTimeoutMs = 15 * 60_000;

/**
 * Runs `fn` while no other process runs one under the same name. The lock is a file that names
 * its holder's process; a dead holder's lock is removed.
 */
export async function withInstallLock<T>(name: string, fn: () => Promise<T>): Promise<T> {
  const folder = join(cacheDir(), "locks");
  await mkdir(folder, { recursive: true });
  const lock = join(folder, `${name}.lock`);
  const holder = `${process.pid} ${randomBytes(8).toString("hex")}`;
  const deadlineMs = performance.now() + lockTimeoutMs;
  while (!(await takeLock(lock, holder))) {
    await removeDeadLock(lock);
    if (performance.now() > deadlineMs) {
      throw new Error(`another process holds ${lock} for too long; remove it if none is running`);
    }
    await sleep(lockPollMs);
  }
  try {
    return await fn();
  } finally {
    await rm(lock, { force: true });
  }
}

/** Linking a written file makes the lock appear with its content, or not at all. */
async function takeLock(lock: string, holder: string): Promise<boolean> {
  const written = `${lock}.${holder.replace(" ", "-")}`;
  await writeFile(written, holder);
  try {
    await link(written, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(written, { force: true });
  }
}

/**
 * Only the one process that holds the folder named for this very holder may remove its lock, and
 * it looks again before it does: the lock of a later holder is never taken away.
 */
async function removeDeadLock(lock: string): Promise<void> {
  const holder = await readHolder(lock);
  if (holder === undefined || isAlive(holder)) return;
  const removal = `${lock}.removal-${holder.replace(" ", "-")}`;
  try {
    await mkdir(removal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return;
    throw error;
  }
  if ((await readHolder(lock)) === holder) await rm(lock, { force: true });
  await rmdir(removal);
}

async function readHolder(lock: string): Promise<string | undefined> {
  return readFile(lock, "utf8").catch(() => undefined);
}

function isAlive(holder: string): boolean {
  try {
    process.kill(Number.parseInt(holder, 10), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
