/** Opens what commands work on. The engine's modules are loaded here, when they are needed. */
import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Session } from "#cli/session.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import type { TableLocation } from "#core/catalog/table.ts";
import type { ConfigOverride } from "#core/config/parse.ts";
import type { BackupConfig, Config, ConnectionConfig, RestoreConfig } from "#core/config/schema.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import type { StorageConfig } from "#core/storage/location.ts";

/** A configuration file, checked, its variables out of the environment. */
export async function readConfig(
  session: Session,
  fileName: string,
  overrides: readonly ConfigOverride[] = [],
): Promise<Config> {
  const { parseConfig } = await import("#core/config/parse.ts");
  const text = await readBounded(fileName);
  return parseConfig(text, { fileName, env: session.io.env, overrides });
}

/** The same, of a file whose mode is backup. Throws InvalidConfigError for another. */
export async function readBackupConfig(
  session: Session,
  fileName: string,
  overrides: readonly ConfigOverride[] = [],
): Promise<BackupConfig> {
  const config = await readConfig(session, fileName, overrides);
  if (config.mode !== "backup") throw wrongMode(fileName, "backup", config.mode);
  return config;
}

/** The same, of a file whose mode is restore. Throws InvalidConfigError for another. */
export async function readRestoreConfig(
  session: Session,
  fileName: string,
  overrides: readonly ConfigOverride[] = [],
): Promise<RestoreConfig> {
  const config = await readConfig(session, fileName, overrides);
  if (config.mode !== "restore") throw wrongMode(fileName, "restore", config.mode);
  return config;
}

function wrongMode(fileName: string, wanted: string, found: string): BackupError {
  return new BackupError("InvalidConfigError", `${fileName} mode: is ${found}, not ${wanted}`, {
    hint: `Run \`kafka-backup ${found} --config ${fileName}\`, or name a file for ${wanted}.`,
  });
}

/** One byte more than a configuration may have, so that what is larger is seen to be. */
async function readBounded(fileName: string): Promise<string> {
  const { yamlBytesMax } = await import("#core/config/yaml.ts");
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of createReadStream(fileName, { end: yamlBytesMax })) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
  } catch (cause) {
    throw new BackupError(
      "InvalidRequestError",
      `configuration ${fileName} cannot be read: ${errnoOf(cause)}`,
      { cause, hint: "`kafka-backup config init backup --output FILE` writes a configuration." },
    );
  }
}

function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}

/** Opens a storage; what it leaves open comes from its provider's variables. */
export async function openStorageAt(
  session: Session,
  location: StorageConfig,
): Promise<StorageBackend> {
  const { openStorage } = await import("#core/storage/open.ts");
  const { withStorageEnvironment } = await import("#core/config/storage-environment.ts");
  const { clock, logger, deadline } = session;
  const config = withStorageEnvironment(location, session.io.env);
  const watch = session.watch("storage");
  const storage = await openStorage(config, { clock, logger, signal: deadline.signal, watch });
  session.closeLater(() => storage.close());
  return storage;
}

/** The table that `--table` names; region, endpoint and credentials come from the AWS variables. */
export function tableNamed(table: string | undefined): TableLocation | undefined {
  return table === undefined ? undefined : { table };
}

/** `table`: of the configuration's `catalog` section, where it has one. */
export async function openCatalogOn(
  session: Session,
  storage: StorageBackend,
  table?: TableLocation,
): Promise<Catalog> {
  const { openCatalog, openTable } = await import("#core/catalog/open.ts");
  const { clock, newId, logger, deadline } = session;
  const deps = { storage, clock, newId, logger };
  if (table === undefined) return openCatalog(deps);
  const { tableWithAwsEnvironment } = await import("#core/config/storage-environment.ts");
  const located = tableWithAwsEnvironment(table, session.io.env);
  const watch = session.watch("catalogue's table");
  const opened = await openTable(located, { clock, logger, signal: deadline.signal, watch });
  session.closeLater(() => opened.close());
  return openCatalog(deps, opened);
}

export interface ConnectChoices {
  /** Partitions that are worked on at a time. */
  readonly lanes?: number | undefined;
  /** A Kafka client's properties, in place of the section's keys for security. */
  readonly commandConfig?: string | undefined;
}

/**
 * Connects to the cluster of a `source` or `target` section. Throws InvalidConfigError for PEM files
 * that cannot be read, and for credentials in both places.
 */
export async function connectTo(
  session: Session,
  section: "source" | "target",
  connection: ConnectionConfig,
  { lanes, commandConfig }: ConnectChoices = {},
): Promise<Cluster> {
  const config =
    commandConfig === undefined
      ? await clusterConfigOf(section, connection)
      : await withCommandConfig(session, section, connection, commandConfig);
  return connectCluster(session, section, config, lanes);
}

/** Connects, and disconnects when the session ends. */
export async function connectCluster(
  session: Session,
  section: "source" | "target",
  config: ClusterConfig,
  lanes?: number,
): Promise<Cluster> {
  const { connectCluster: connect } = await import("#core/kafka/connect.ts");
  const { clock, logger, deadline } = session;
  const connecting = connect(config, {
    clock,
    logger,
    watch: session.watch(`brokers of the ${section}`),
    ...(lanes !== undefined && { lanes }),
  });
  const cluster = await unlessStopped(connecting, deadline.signal, (late) => late.disconnect());
  session.closeLater(() => cluster.disconnect());
  return cluster;
}

/** The section's brokers with the login of a properties file: one place for credentials, not two. */
export async function withCommandConfig(
  session: Session,
  section: "source" | "target",
  { bootstrap_servers, security_protocol }: ConnectionConfig,
  fileName: string,
): Promise<ClusterConfig> {
  if (security_protocol !== "PLAINTEXT") {
    throw new BackupError(
      "InvalidConfigError",
      `${section}.security_protocol: says how to log in, and so does --command-config ${fileName}`,
      {
        hint: `Leave one out: --command-config, or security_protocol, sasl_* and ssl_* of ${section}.`,
      },
    );
  }
  const { readCommandConfig } = await import("#cli/command-config.ts");
  return { ...(await readCommandConfig(session, fileName)), bootstrap_servers };
}

/** The result of what cannot be stopped itself; what comes after the signal is let go. */
function unlessStopped<T>(
  work: Promise<T>,
  signal: AbortSignal,
  letGo: (late: T) => unknown,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      reject(signal.reason);
      work.then(letGo, () => undefined);
    };
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** The connection with the contents of its PEM files. */
export async function clusterConfigOf(
  section: "source" | "target",
  connection: ConnectionConfig,
): Promise<ClusterConfig> {
  const pem = async (key: "ssl_ca_location" | "ssl_certificate_location" | "ssl_key_location") => {
    const path = connection[key];
    if (path === undefined) return undefined;
    try {
      return await readFile(path, "utf8");
    } catch (cause) {
      const message = `${section}.${key}: the file cannot be read: ${errnoOf(cause)}`;
      throw new BackupError("InvalidConfigError", message, {
        cause,
        hint: "Name a PEM file; a relative path starts at the working directory.",
      });
    }
  };
  const { ssl_ca_location, ssl_certificate_location, ssl_key_location, ...rest } = connection;
  return {
    ...rest,
    ssl_ca: await pem("ssl_ca_location"),
    ssl_certificate: await pem("ssl_certificate_location"),
    ssl_key: await pem("ssl_key_location"),
  };
}
