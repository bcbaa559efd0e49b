/** How a command is told which cluster to connect to. */
import { type Command, Option } from "commander";
import { commandConfigHelp, readCommandConfig } from "#cli/command-config.ts";
import { connectCluster, connectTo, readConfig } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";

export interface ConnectionOptions {
  readonly bootstrapServers?: string;
  readonly config?: string;
  readonly commandConfig?: string;
}

/**
 * Adds `--bootstrap-servers` and `--config`, of which one may be given, and `--command-config`,
 * which goes with either or names the brokers itself.
 */
export function withConnectionOptions(command: Command): Command {
  return command
    .option("--bootstrap-servers <servers>", "brokers to ask first, HOST:PORT,HOST:PORT")
    .addOption(
      new Option(
        "--config <file>",
        "instead, for TLS and logins: the source of a backup's, the target of a restore's file",
      ).conflicts("bootstrapServers"),
    )
    .option("--command-config <file>", commandConfigHelp);
}

/** Connects, and disconnects when the session ends. Throws InvalidRequestError without a cluster. */
export async function connectByOptions(
  session: Session,
  options: ConnectionOptions,
): Promise<Cluster> {
  const cluster = await connectIfTold(session, options);
  if (cluster !== undefined) return cluster;
  throw new BackupError("InvalidRequestError", "--bootstrap-servers or --config is missing", {
    hint: "Say which cluster is meant: --bootstrap-servers HOST:PORT, or --config FILE.",
  });
}

/** The same, or undefined where no cluster was named. */
export async function connectIfTold(
  session: Session,
  { bootstrapServers, config, commandConfig }: ConnectionOptions,
): Promise<Cluster | undefined> {
  if (config !== undefined) {
    const file = await readConfig(session, config);
    if (file.mode === "backup") return connectTo(session, "source", file.source, { commandConfig });
    return connectTo(session, "target", file.target, { commandConfig });
  }
  const connection =
    commandConfig === undefined ? {} : await readCommandConfig(session, commandConfig);
  const servers = bootstrapServers?.split(",").map((server) => server.trim());
  const bootstrap_servers = servers ?? connection.bootstrap_servers;
  if (bootstrap_servers !== undefined) {
    return connectCluster(session, "target", { ...connection, bootstrap_servers });
  }
  if (commandConfig === undefined) return undefined;
  throw new BackupError("InvalidRequestError", `${commandConfig} has no bootstrap.servers`, {
    hint: "Add --bootstrap-servers HOST:PORT, or bootstrap.servers to the file.",
  });
}
