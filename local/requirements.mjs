/**
 * What must be on the machine before anything can be installed. Each check returns one clear line
 * that says what is missing and what for, or undefined; `require…` throws that line. Plain
 * JavaScript: `scripts/prepare.mjs` runs it before there is a Node that strips types.
 */
import { execFile } from "node:child_process";

export const javaMajorMin = 17;
export const pythonMinorMin = 11;

/**
 * Output of `command args`, or undefined where there is no such command or it fails.
 * @param {string} command
 * @param {string[]} args
 * @returns {Promise<string | undefined>}
 */
function outputOf(command, args) {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: 30_000 }, (error, stdout, stderr) => {
      resolve(error ? undefined : stdout + stderr);
    });
  });
}

/**
 * Java 17 or later runs Kafka and its tools.
 * @returns {Promise<string | undefined>}
 */
export async function missingJava() {
  const output = await outputOf("java", ["-version"]);
  const needed = `Java ${javaMajorMin} or later is needed to run Apache Kafka`;
  if (output === undefined) return `${needed}: there is no \`java\` on the PATH.`;
  const major = Number(/version "(?:1\.)?(\d+)/.exec(output)?.[1] ?? 0);
  if (major < javaMajorMin) return `${needed}: \`java\` on the PATH is version ${major}.`;
  return undefined;
}

/**
 * Maven fetches Kafka's jars.
 * @returns {Promise<string | undefined>}
 */
export async function missingMaven() {
  const output = await outputOf("mvn", ["-version"]);
  if (output !== undefined) return undefined;
  return "Maven is needed to fetch Apache Kafka: there is no working `mvn` on the PATH.";
}

/**
 * Python 3.11 or later runs the S3 and AWS emulator.
 * @returns {Promise<string | undefined>}
 */
export async function missingPython() {
  const output = await outputOf("python3", ["--version"]);
  const needed = `Python 3.${pythonMinorMin} or later is needed to run the AWS emulator`;
  if (output === undefined) return `${needed}: there is no \`python3\` on the PATH.`;
  const [, major, minor] = /Python (\d+)\.(\d+)/.exec(output) ?? [];
  if (Number(major) === 3 && Number(minor) >= pythonMinorMin) return undefined;
  return `${needed}: \`python3\` on the PATH is ${output.trim()}.`;
}

/**
 * OpenSSL makes the certificates of TLS listeners.
 * @returns {Promise<string | undefined>}
 */
export async function missingOpenssl() {
  const output = await outputOf("openssl", ["version"]);
  if (output !== undefined) return undefined;
  return "OpenSSL is needed to make test certificates: there is no `openssl` on the PATH.";
}

/** @param {Promise<string | undefined>} missing */
async function demand(missing) {
  const line = await missing;
  if (line !== undefined) throw new Error(line);
}

export const requireJava = () => demand(missingJava());
export const requireMaven = () => demand(missingMaven());
export const requirePython = () => demand(missingPython());
export const requireOpenssl = () => demand(missingOpenssl());
