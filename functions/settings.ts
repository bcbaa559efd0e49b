/** What a function is told from outside, and what it opens because of that. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog, openTable } from "#core/catalog/open.ts";
import type { CatalogTable } from "#core/catalog/table.ts";
import type { CircuitBreaker } from "#core/circuit-breaker.ts";
import {
  type DeployedConfig,
  type DeployedRestoreConfig,
  type Login,
  type Logins,
  parseDeployment,
  parseRestoreDeployment,
} from "#core/config/deployment.ts";
import type { ConnectionConfig } from "#core/config/schema.ts";
import { BackupError, isRetryable } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { connectCluster } from "#core/kafka/connect.ts";
import type { Logger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { randomId, systemClock } from "#core/system.ts";

/** The deployment's configurations, beside the functions' code. */
export const configFileName = "backup.json";
export const restoreConfigFileName = "restore.json";

export interface Settings {
  /** Where the configurations are. */
  readonly folder: string;
  /**
   * Of secrets with the clusters' logins, `{"username": …, "password": …}`; undefined: the
   * cluster wants none, or this function does not talk to it.
   */
  readonly secretArns: Readonly<Record<"source" | "target", string | undefined>>;
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
  readonly #breaker: CircuitBreaker;
  readonly #logins = new Kept(() => readLogins(this.#settings));
  readonly #config = new Kept(() => this.#readConfig());
  readonly #restoreConfig = new Kept(() => this.#readRestoreConfig());
  readonly #storage = new Kept(() => this.#openStorage());
  readonly #source = new Kept(() => this.#connectSource());
  readonly #target = new Kept(() => this.#connectTarget());
  readonly #table = new Kept((table: string) => this.#openTable(table));

  constructor(settings: Settings, logger: Logger, breaker: CircuitBreaker) {
    this.#settings = settings;
    this.#logger = logger;
    this.#breaker = breaker;
  }

  /**
   * For the beginning of an invocation. A secret that was rotated since it was read is a refused
   * login at the next connection, so it is read again, and where it says something else, clusters
   * are connected anew. While it cannot be read for a time, what it said is used on.
   */
  async renewLogins(): Promise<void> {
    const before = await this.#logins.made();
    if (before === undefined) return;
    const now = await readLogins(this.#settings).catch((error: unknown) => {
      if (isRetryable(error)) return before;
      throw error;
    });
    if (isDeepStrictEqual(now, before)) return;
    for (const kept of [this.#logins, this.#config, this.#restoreConfig]) kept.forget();
    for (const kept of [this.#source, this.#target]) {
      const cluster = await kept.made();
      kept.forget();
      await cluster?.disconnect();
    }
  }

  /**
   * With the logins that this function may read. Throws InvalidConfigError, AccessDeniedError.
   */
  config(): Promise<DeployedConfig> {
    return this.#config.get();
  }

  restoreConfig(): Promise<DeployedRestoreConfig> {
    return this.#restoreConfig.get();
  }

  storage(): Promise<StorageBackend> {
    return this.#storage.get();
  }

  /** A new one each time, for it remembers the leases of one run. */
  async catalog(): Promise<Catalog> {
    const { table } = this.#settings;
    const deps = { storage: await this.storage(), clock: systemClock, newId: randomId };
    const opened = table === undefined ? undefined : await this.#table.get(table);
    return openCatalog({ ...deps, logger: this.#logger }, opened);
  }

  /** The cluster that is backed up. */
  source(): Promise<Cluster> {
    return this.#source.get();
  }

  /** The cluster that is restored into. */
  target(): Promise<Cluster> {
    return this.#target.get();
  }

  /**
   * The one of the two that has this id, also where the other cannot be reached; the source where
   * neither has it.
   */
  async withId(clusterId: string): Promise<Cluster> {
    const [source, target] = await Promise.allSettled([this.source(), this.target()]);
    for (const connected of [source, target]) {
      if (connected.status !== "fulfilled") continue;
      if (connected.value.clusterId === clusterId) return connected.value;
    }
    for (const connected of [source, target]) {
      if (connected.status === "rejected") throw connected.reason;
    }
    return this.source();
  }

  async #readConfig(): Promise<DeployedConfig> {
    const text = await readFile(join(this.#settings.folder, configFileName), "utf8");
    const logins = await this.#logins.get();
    return parseDeployment(text, { fileName: configFileName, env: {}, logins });
  }

  async #readRestoreConfig(): Promise<DeployedRestoreConfig> {
    const text = await readFile(join(this.#settings.folder, restoreConfigFileName), "utf8");
    const logins = await this.#logins.get();
    return parseRestoreDeployment(text, { fileName: restoreConfigFileName, env: {}, logins });
  }

  /** Both configurations have the same. */
  async #openStorage(): Promise<StorageBackend> {
    const { storage } = await this.config();
    const watch = this.#breaker.watch("storage");
    return openStorage(storage, { clock: systemClock, logger: this.#logger, watch });
  }

  #openTable(table: string): Promise<CatalogTable> {
    const watch = this.#breaker.watch("catalogue's table");
    return openTable({ table }, { clock: systemClock, logger: this.#logger, watch });
  }

  async #connectSource(): Promise<Cluster> {
    const { source, backup } = await this.config();
    return this.#connect("source", source, backup.max_concurrent_partitions);
  }

  async #connectTarget(): Promise<Cluster> {
    const { target, restore } = await this.restoreConfig();
    return this.#connect("target", target, restore.max_concurrent_partitions);
  }

  async #connect(
    which: "source" | "target",
    connection: ConnectionConfig,
    lanes: number,
  ): Promise<Cluster> {
    const { sasl_mechanism } = connection;
    const wantsSecret = sasl_mechanism !== undefined && sasl_mechanism !== "AWS_MSK_IAM";
    if (wantsSecret && this.#settings.secretArns[which] === undefined) {
      throw new BackupError("InvalidConfigError", `this function has no login for ${which}`, {
        hint: "Say in cdk/machines which cluster the function talks to.",
      });
    }
    try {
      const watch = this.#breaker.watch(`brokers of the ${which}`);
      const deps = { clock: systemClock, logger: this.#logger, lanes, watch };
      return await connectCluster(connection, deps);
    } catch (error) {
      // A login may have been rotated.
      for (const kept of [this.#logins, this.#config, this.#restoreConfig]) kept.forget();
      throw error;
    }
  }
}

/** What is made once, and again where making it failed. */
class Kept<Args extends unknown[], T> {
  readonly #make: (...args: Args) => Promise<T>;
  #made: Promise<T> | undefined;

  constructor(make: (...args: Args) => Promise<T>) {
    this.#make = make;
  }

  get(...args: Args): Promise<T> {
    this.#made ??= this.#make(...args).catch((error: unknown) => {
      this.#made = undefined;
      throw error;
    });
    return this.#made;
  }

  /** Undefined where it has not been made. */
  async made(): Promise<T | undefined> {
    return this.#made?.catch(() => undefined);
  }

  forget(): void {
    this.#made = undefined;
  }
}

async function readLogins({ secretArns }: Settings): Promise<Logins> {
  const { source, target } = secretArns;
  const read = (arn: string | undefined) => (arn === undefined ? "elsewhere" : readLogin(arn));
  const ofSource = await read(source);
  return { source: ofSource, target: target === source ? ofSource : await read(target) };
}

/** Else a network without a way to Secrets Manager takes all of the function's time. */
const secretTimeouts = { connectionTimeout: 5_000, socketTimeout: 10_000 };

async function readLogin(secretArn: string): Promise<Login> {
  const { GetSecretValueCommand, SecretsManagerClient } = await import(
    "@aws-sdk/client-secrets-manager"
  );
  const client = new SecretsManagerClient({ requestHandler: secretTimeouts });
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
