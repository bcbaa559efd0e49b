import { type ParseOptions, parseConfig } from "#core/config/parse.ts";
import type { BackupConfig, RestoreConfig } from "#core/config/schema.ts";
import { BackupError } from "#core/errors.ts";

export const backupText = `mode: backup
backup_id: nightly
source:
  bootstrap_servers: kafka:9092
  topics:
    include: ["*"]
storage:
  backend: memory
`;

export const restoreText = `mode: restore
backup_id: nightly
target:
  bootstrap_servers: kafka:9092
storage:
  backend: memory
restore:
`;

type Options = Partial<ParseOptions>;

export function parse(text: string, options: Options = {}) {
  return parseConfig(text, { fileName: "f.yaml", env: {}, ...options });
}

export function parseBackup(text: string, options: Options = {}): BackupConfig {
  return parse(text, options) as BackupConfig;
}

export function parseRestore(text: string, options: Options = {}): RestoreConfig {
  return parse(text, options) as RestoreConfig;
}

/** The lines of the InvalidConfigError that `text` is refused with. */
export function problemsOf(text: string, options: Options = {}): string[] {
  try {
    parse(text, options);
  } catch (error) {
    if (error instanceof BackupError && error.name === "InvalidConfigError") {
      return error.message.split("\n");
    }
    throw error;
  }
  throw new Error("the configuration was accepted");
}
