/**
 * The session that the README's pictures are of: payments, a faulty release, and the way back, on
 * a Kafka of its own and with backups in a folder.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { startKafka } from "#local/kafka.ts";
import { pathWith } from "#local/kafka-scripts.ts";
import { type Line, screenOf } from "./screen.ts";

const root = join(import.meta.dirname, "../..");
const columns = 118;

/** By the names of the pictures, in the order of the session. */
export const commands = {
  backup: "kafka-backup backup --config backup.yaml",
  describe: "kafka-backup describe --path backups --backup-id payments",
  validate: "kafka-backup validate --path backups --backup-id payments --deep",
  restore: "kafka-backup restore --config restore.yaml",
  "three-phase-restore": "kafka-backup three-phase-restore --config three-phase.yaml",
} as const;

export type PictureName = keyof typeof commands;

/** What each command left on the screen of a terminal. Throws when one of them fails. */
export async function playSession(): Promise<Readonly<Record<PictureName, readonly Line[]>>> {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-pictures-"));
  const kafka = await startKafka();
  try {
    const bootstrap = ["--bootstrap-server", kafka.bootstrapServers];
    const tool = async (name: string, ...args: string[]) => {
      const { code, stderr } = await kafka.tool(name, [...bootstrap, ...args]);
      if (code !== 0) throw new Error(`${name} failed:\n${stderr}`);
    };
    const topic = "org.apache.kafka.tools.TopicCommand";
    await tool(topic, "--create", "--topic", "payments", "--partitions", "3");
    const make = async (payments: string) => {
      const program = join(root, "demos/MakePayments.java");
      const made = await kafka.runJava(program, [kafka.bootstrapServers, "payments", payments]);
      if (made.code !== 0) throw new Error(`no payments were written:\n${made.stderr}`);
    };
    await make("valid:1-15000");
    const consumer = "org.apache.kafka.tools.consumer.ConsoleConsumer";
    const reading = ["--group", "payments-processor", "--from-beginning"];
    await tool(consumer, "--topic", "payments", ...reading, "--max-messages", "15000");
    // So that the group has some left to read in each partition.
    await make("valid:15001-20000");
    await writeConfigs(folder, kafka.bootstrapServers);
    const screens: Partial<Record<PictureName, Line[]>> = {};
    for (const [name, command] of Object.entries(commands)) {
      screens[name as PictureName] = await onScreen(command, folder);
    }
    return screens as Readonly<Record<PictureName, readonly Line[]>>;
  } finally {
    await kafka.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeConfigs(folder: string, bootstrap_servers: string): Promise<void> {
  const backup_id = "payments";
  const storage = { backend: "filesystem", path: "backups" };
  const restore = (restored: object) => ({
    ...{ mode: "restore", backup_id, target: { bootstrap_servers }, storage },
    restore: restored,
  });
  const files = {
    "backup.yaml": {
      ...{ mode: "backup", backup_id, storage },
      source: { bootstrap_servers, topics: { include: ["payments"] } },
    },
    "restore.yaml": restore({ topic_mapping: { payments: "payments-copy" } }),
    "three-phase.yaml": restore({
      topic_mapping: { payments: "payments-restored" },
      consumer_groups: ["payments-processor"],
    }),
  };
  for (const [name, config] of Object.entries(files)) {
    await writeFile(join(folder, name), JSON.stringify(config));
  }
}

async function onScreen(command: string, folder: string): Promise<Line[]> {
  const inTerminal = join(import.meta.dirname, "in-terminal.py");
  const args = [inTerminal, String(columns), ...command.split(" ")];
  const env = {
    ...process.env,
    ...{ TERM: "xterm-256color", NO_COLOR: undefined },
    PATH: pathWith(join(root, "bin"), dirname(process.execPath)),
  };
  const { stdout } = await promisify(execFile)("python3", args, { cwd: folder, env }).catch(
    (error: { stdout: string; message: string }) => {
      throw new Error(`${command} failed:\n${error.stdout || error.message}`);
    },
  );
  const lines = screenOf(stdout);
  while (lines.at(-1)?.length === 0) lines.pop();
  return lines;
}
