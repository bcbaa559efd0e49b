/** The project's own command line, run as a user runs it: files of YAML and processes. */
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";

const program = fileURLToPath(new URL("../../bin/kafka-backup", import.meta.url));

/** Writes a configuration and returns its path. */
export async function writeConfig(folder: string, name: string, config: object): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, stringify(config));
  return file;
}

/** As a user would type it. */
export function commandText(args: readonly string[]): string {
  return ["$", relative(process.cwd(), program), ...args].join(" ");
}

/** Runs `kafka-backup` to its end and returns what it printed. Throws unless it exits with 0. */
export async function kafkaBackup(args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const exit = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal!));
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  if (code === 0) return stdout;
  throw new Error(`${commandText(args)}\nended with ${code}:\n${stdout}${stderr}`);
}
