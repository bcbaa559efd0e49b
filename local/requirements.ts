/**
 * What must be on the machine before `local/` can install the rest. Each check returns one clear
 * line that says what is missing and what for, or undefined; `require…` throws that line.
 */
import { execFile } from "node:child_process";

export const javaMajorMin = 17;
export const pythonMinorMin = 11;

/** Exit code and output of `command args`, or undefined where there is no such command. */
function outputOf(command: string, args: string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve(error ? undefined : stdout + stderr);
    });
  });
}

/** Java 17 or later runs Kafka and its tools. */
export async function missingJava(): Promise<string | undefined> {
  const output = await outputOf("java", ["-version"]);
  const needed = `Java ${javaMajorMin} or later is needed to run Apache Kafka`;
  if (output === undefined) return `${needed}: there is no \`java\` on the PATH.`;
  const major = Number(/version "(?:1\.)?(\d+)/.exec(output)?.[1] ?? 0);
  if (major < javaMajorMin) return `${needed}: \`java\` on the PATH is version ${major}.`;
  return undefined;
}

/** Maven fetches Kafka's jars. */
export async function missingMaven(): Promise<string | undefined> {
  const output = await outputOf("mvn", ["-version"]);
  if (output !== undefined) return undefined;
  return "Maven is needed to fetch Apache Kafka: there is no working `mvn` on the PATH.";
}

/** Python 3.11 or later runs the S3 and AWS emulator. */
export async function missingPython(): Promise<string | undefined> {
  const output = await outputOf("python3", ["--version"]);
  const needed = `Python 3.${pythonMinorMin} or later is needed to run the AWS emulator`;
  if (output === undefined) return `${needed}: there is no \`python3\` on the PATH.`;
  const [, major, minor] = /Python (\d+)\.(\d+)/.exec(output) ?? [];
  if (Number(major) === 3 && Number(minor) >= pythonMinorMin) return undefined;
  return `${needed}: \`python3\` on the PATH is ${output.trim()}.`;
}

/** OpenSSL makes the certificates of TLS listeners. */
export async function missingOpenssl(): Promise<string | undefined> {
  const output = await outputOf("openssl", ["version"]);
  if (output !== undefined) return undefined;
  return "OpenSSL is needed to make test certificates: there is no `openssl` on the PATH.";
}

async function demand(missing: Promise<string | undefined>): Promise<void> {
  const line = await missing;
  if (line !== undefined) throw new Error(line);
}

export const requireJava = () => demand(missingJava());
export const requireMaven = () => demand(missingMaven());
export const requirePython = () => demand(missingPython());
export const requireOpenssl = () => demand(missingOpenssl());
