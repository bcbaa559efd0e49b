/**
 * MiniStack: the AWS services in one local process (MIT, from PyPI). Here for its S3; a fresh one
 * each time, with nothing in it and nothing kept.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDir, runToEnd, startProcess, wantedPort, withInstallLock } from "./processes.ts";
import { requirePython } from "./requirements.mjs";

export const ministackVersion = "1.5.33";
/** `cryptography` is what its JWT authorizer and its IAM signatures need. */
const packages = [`ministack==${ministackVersion}`, "cryptography"];

/** Of the emulator's root user, whatever the caller's own environment says. */
const accessKeyId = "test";
const secretAccessKey = "test";

const readyTimeoutMs = 60_000;

export interface Ministack {
  /** `http://127.0.0.1:{port}`, for every service. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly pid: number;
  readonly logFile: string;
  stop(): Promise<void>;
}

export interface MinistackOptions {
  /** Any free one when not given. */
  readonly port?: number | undefined;
  /** True: signatures are checked and unknown keys refused, as AWS does. */
  readonly checkCredentials?: boolean;
}

/**
 * Installs what is missing (some 20 s the first time) and starts it on a free port (about 1 s).
 * Throws one line when Python is missing.
 */
export async function startMinistack(options: MinistackOptions = {}): Promise<Ministack> {
  const python = await installMinistack();
  const port = await wantedPort(options.port);
  const folder = await mkdtemp(join(tmpdir(), "ministack-"));
  const logFile = join(cacheDir(), "logs", `ministack-${port}.log`);
  const endpoint = `http://127.0.0.1:${port}`;
  const running = await startProcess({
    name: "ministack",
    command: python,
    args: ["-m", "ministack"],
    cwd: folder,
    env: {
      BIND_HOST: "127.0.0.1",
      GATEWAY_PORT: String(port),
      IOT_MTLS_ENABLED: "0",
      SFTP_ENABLED: "0",
      LAMBDA_EXECUTOR: "local",
      AUTH: options.checkCredentials ? "true" : "false",
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: undefined,
      S3_DATA_DIR: join(folder, "s3"),
      STATE_DIR: join(folder, "state"),
      TMPDIR: folder,
    },
    logFile,
    ready: async () => (await fetch(`${endpoint}/_ministack/health`)).ok,
    readyTimeoutMs,
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  return {
    endpoint,
    region: "us-east-1",
    accessKeyId,
    secretAccessKey,
    pid: running.pid,
    logFile,
    stop: async () => {
      await running.stop();
      await rm(folder, { recursive: true, force: true });
      await rm(logFile, { force: true });
    },
  };
}

/** Returns the Python of a virtual environment that holds MiniStack. */
export async function installMinistack(): Promise<string> {
  const home = join(cacheDir(), `ministack-${ministackVersion}`);
  const python = join(home, "bin", "python");
  const installed = join(home, "installed");
  if (existsSync(installed)) return python;
  await requirePython();
  await withInstallLock(`ministack-${ministackVersion}`, async () => {
    if (existsSync(installed)) return;
    await rm(home, { recursive: true, force: true });
    await runToEnd("python3", ["-m", "venv", home]);
    await runToEnd(python, ["-m", "pip", "install", "--quiet", ...packages]);
    await writeFile(installed, `${packages.join("\n")}\n`);
  });
  return python;
}
