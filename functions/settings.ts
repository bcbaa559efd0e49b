/** What a function is told from outside, and what it opens because of that. */
import { readFile } from "node:fs/promises";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog, openTable } from "#core/catalog/open.ts";
import type { CatalogTable } from "#core/catalog/table.ts";
import { type DeployedConfig, type Login, parseDeployment } from "#core/config/deployment.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { connectCluster } from "#core/kafka/connect.ts";
import type { Logger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { randomId, systemClock } from "#core/system.ts";

/** The deployment's configuration, beside the function's code. */
export const configFileName = "backup.json";

export interface Settings {
  /** Of the file. */
  readonly configFile: string;
  /** Of a secret with the cluster's login, `{"username": …, "password": …}`. */
  readonly secretArn: string | undefined;
  /** Of the catalogue's table in DynamoDB; undefined: the catalogue is in the bucket alone. */
  readonly table: string | undefined;
}

/**
 * Opens each thing when it is first asked for and keeps it for later invocations. What could not
 * be opened is tried anew: a secret may have been rotated, a broker may be back.
 */
export class Clients {
  readonly #settings: Settings;
  readonly #logger: Logger;
  #config: Promise<DeployedConfig> | undefined;
  #storage: Promise<StorageBackend> | undefined;
  #cluster: Promise<Cluster> | undefined;
  #table: Promise<CatalogTable> | undefined;

  constructor(settings: Settings, logger: Logger) {
    this.#settings = settings;
    this.#logger = logger;
  }

  /** With the cluster's login where there is one. Throws InvalidConfigError, AccessDeniedError. */
  config(): Promise<DeployedConfig> {
    this.#config ??= readConfig(this.#settings).catch((error: unknown) => {
      this.#config = undefined;
      throw error;
    });
    return this.#config;
  }

  async storage(): Promise<StorageBackend> {
    const { storage } = await this.config();
    this.#storage ??= openStorage(storage, { clock: systemClock, logger: this.#logger });
    return this.#storage;
  }

  /** A new one each time, for it remembers the leases of one run. */
  async catalog(): Promise<Catalog> {
    const { table } = this.#settings;
    if (table !== undefined) this.#table ??= openTable({ table });
    const deps = { storage: await this.storage(), clock: systemClock, newId: randomId };
    return openCatalog({ ...deps, logger: this.#logger }, await this.#table);
  }

  async cluster(): Promise<Cluster> {
    const { source, backup } = await this.config();
    const deps = { clock: systemClock, logger: this.#logger };
    this.#cluster ??= connectCluster(source, {
      ...deps,
      lanes: backup.max_concurrent_partitions,
    }).catch((error: unknown) => {
      this.#cluster = undefined;
      this.#config = undefined;
      throw error;
    });
    return this.#cluster;
  }
}

async function readConfig({ configFile, secretArn }: Settings): Promise<DeployedConfig> {
  const text = await readFile(configFile, "utf8");
  const login = secretArn === undefined ? undefined : await readLogin(secretArn);
  return parseDeployment(text, { fileName: configFileName, env: {}, login });
}

async function readLogin(secretArn: string): Promise<Login> {
  const { GetSecretValueCommand, SecretsManagerClient } = await import(
    "@aws-sdk/client-secrets-manager"
  );
  const client = new SecretsManagerClient({});
  try {
    const { SecretString } = await client.send(new GetSecretValueCommand({ SecretId: secretArn }));
    return loginOf(secretArn, SecretString);
  } catch (cause) {
    throw cause instanceof BackupError ? cause : secretError(secretArn, cause as Error);
  } finally {
    client.destroy();
  }
}

const refusals = [
  "AccessDeniedException",
  "DecryptionFailure",
  "ExpiredTokenException",
  "InvalidRequestException",
  "ResourceNotFoundException",
  "UnrecognizedClientException",
];

function secretError(secretArn: string, cause: Error): BackupError {
  const name = refusals.includes(cause.name) ? "AccessDeniedError" : "StorageUnavailableError";
  return new BackupError(name, `secret ${secretArn} cannot be read: ${cause.name}`, {
    cause,
    hint: "Let the function's role read the secret, and its network reach Secrets Manager.",
  });
}

/** What is wrong with it is told without what it holds (S5). */
function loginOf(secretArn: string, secret: string | undefined): Login {
  let value: unknown;
  try {
    value = JSON.parse(secret ?? "");
  } catch {
    value = undefined;
  }
  const { username, password } = (value ?? {}) as Record<string, unknown>;
  if (typeof username === "string" && typeof password === "string") return { username, password };
  throw new BackupError(
    "InvalidConfigError",
    `secret ${secretArn} is not {"username": "…", "password": "…"}`,
  );
}
