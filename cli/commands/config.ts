/** `config check` and `config init`. */
import { writeFile } from "node:fs/promises";
import { Argument, type Command } from "commander";
import { type CommandContext, type Configure, configHelp, withExamples } from "#cli/command.ts";
import { readConfig } from "#cli/runtime.ts";
import type { Config } from "#core/config/schema.ts";
import { BackupError, exitCodes } from "#core/errors.ts";

export const configure: Configure = (command, context) => {
  withExamples(command, [
    ["kafka-backup config init backup --output backup.yaml", "write a first configuration"],
    ["kafka-backup config check --config backup.yaml", "see whether it is right"],
  ]);
  configureCheck(command, context);
  configureInit(command, context);
};

function configureCheck(parent: Command, context: CommandContext): void {
  const command = parent
    .command("check")
    .description("checks a configuration file; connects to nothing")
    .requiredOption("--config <file>", configHelp);
  withExamples(command, [
    ["kafka-backup config check --config backup.yaml", "all problems, with line and column"],
    [
      "kafka-backup config check --config backup.yaml --format yaml",
      "the configuration with all defaults and variables filled in, without secrets",
    ],
  ]);
  context.action(command, async (session, options: { config: string }) => {
    const config = await readConfig(session, options.config);
    await session.write(withoutSecrets(config), () => {
      return `${options.config} is right: ${config.mode} of ${config.backup_id}`;
    });
    return exitCodes.done;
  });
}

const secretKeys = [
  "sasl_password",
  "sasl_oauthbearer_client_secret",
  "ssl_key_password",
  "access_key_id",
  "secret_access_key",
  "session_token",
  "account_key",
  "sas_token",
  "connection_string",
];

function withoutSecrets(config: Config): unknown {
  const hide = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        secretKeys.includes(key) ? "***" : hide(inner),
      ]),
    );
  };
  return hide(config);
}

function configureInit(parent: Command, context: CommandContext): void {
  const command = parent
    .command("init")
    .description("writes a first configuration with every key explained")
    .addArgument(new Argument("<mode>", "what the file is for").choices(["backup", "restore"]))
    .option(
      "--output <file>",
      "the file to write, which must not exist; standard output if absent",
    );
  withExamples(command, [
    ["kafka-backup config init backup --output backup.yaml", "for backups"],
    ["kafka-backup config init restore --output restore.yaml", "for restores"],
  ]);
  context.action(command, async (session, options: { output?: string }, mode) => {
    const { configTemplate } = await import("#core/config/template.ts");
    const text = configTemplate(mode === "restore" ? "restore" : "backup");
    if (options.output === undefined) {
      session.io.stdout.write(text);
    } else {
      await createFile(options.output, text);
      session.terminal.line(`wrote ${options.output}`);
    }
    return exitCodes.done;
  });
}

async function createFile(fileName: string, text: string): Promise<void> {
  try {
    await writeFile(fileName, text, { flag: "wx" });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new BackupError("InvalidRequestError", `--output ${fileName} cannot be made: ${code}`, {
      cause,
      hint: code === "EEXIST" ? "Choose another name, or remove the file." : "Check the folder.",
    });
  }
}
