/** The project's own command line, whole processes. */
import { rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { type Cost, measured } from "./measured.ts";
import type { Setting, Source } from "./setting.ts";

export interface BackupRun extends Cost {
  /** The storage. */
  readonly path: string;
  readonly backupId: string;
  /** From the lease to the manifest. */
  readonly durationMs: number;
  readonly batchBytes: number;
  readonly storedBytes: number;
}

export interface RestoreRun extends Cost {
  /** Of all phases but verification. */
  readonly durationMs: number;
  readonly verifyMs: number;
  readonly batchBytes: number;
}

const program = fileURLToPath(new URL("../bin/kafka-backup", import.meta.url));
const backupId = "bench";

async function runCommand(setting: Setting, command: "backup" | "restore", config: object) {
  const file = `${setting.newFolder(command)}.yaml`;
  await writeFile(file, stringify({ mode: command, backup_id: backupId, ...config }));
  try {
    const args = [program, command, "--config", file, "--format", "json"];
    const { stdout, ...cost } = await measured(process.execPath, args);
    return { cost, result: JSON.parse(stdout) };
  } finally {
    await rm(file, { force: true });
  }
}

/** A full backup into a new folder, with the defaults where `settings` say nothing else. */
export async function runBackup(
  setting: Setting,
  { topic, records }: Source,
  settings: object = {},
): Promise<BackupRun> {
  const path = setting.newFolder("storage");
  const { cost, result } = await runCommand(setting, "backup", {
    source: { bootstrap_servers: [setting.kafka.bootstrapServers], topics: { include: [topic] } },
    storage: { backend: "filesystem", path },
    backup: settings,
  });
  if (result.status !== "done" || result.record_count !== records) {
    throw new Error(`${result.record_count} of ${records} records backed up: ${result.status}`);
  }
  return {
    ...cost,
    ...{ path, backupId, durationMs: result.duration_ms },
    ...{ batchBytes: result.batch_bytes, storedBytes: result.stored_bytes },
  };
}

/** A restore of all of it into a new topic. */
export async function runRestore(
  setting: Setting,
  { topic, records }: Source,
  { path }: BackupRun,
  target: string,
): Promise<RestoreRun> {
  const { cost, result } = await runCommand(setting, "restore", {
    target: { bootstrap_servers: [setting.kafka.bootstrapServers] },
    storage: { backend: "filesystem", path },
    restore: { topic_mapping: { [topic]: target } },
  });
  const { report } = result;
  if (result.status !== "done" || report.record_count !== records) {
    throw new Error(`${report.record_count} of ${records} records restored: ${result.status}`);
  }
  const phases: { phase: string; duration_ms: number }[] = report.phases;
  const sumOf = (isMeant: (phase: string) => boolean) =>
    phases.reduce((sum, { phase, duration_ms }) => sum + (isMeant(phase) ? duration_ms : 0), 0);
  return {
    ...cost,
    durationMs: sumOf((phase) => phase !== "verify"),
    verifyMs: sumOf((phase) => phase === "verify"),
    batchBytes: report.sent.bytes,
  };
}
