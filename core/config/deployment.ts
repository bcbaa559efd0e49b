// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/**
 * What configurations have to be for a deployment: a bucket, a role in place of keys, a login that
 * a secret holds, and no files but their own. A deployment has one for backups and one for
 * restores; without the second, restores go to the cluster that is backed up.
 */
import { type ParseOptions, parseConfig, parseKey } from "#core/config/parse.ts";
import { type Schedule, schedulesOf, schedulesRule } from "#core/config/schedules.ts";
import { type BackupConfig, type RestoreConfig, restoreConfig } from "#core/config/schema.ts";
import { readYaml } from "#core/config/yaml.ts";
import { BackupError } from "#core/errors.ts";

/**
 * Of the cluster; a secret of this form is what Amazon MSK takes for SASL/SCRAM. With OAUTHBEARER:
 * the client's id and secret at the token endpoint.
 */
export interface Login {
  readonly username: string;
  readonly password: string;
}

type InBucket<Config extends BackupConfig | RestoreConfig> = Config & {
  readonly storage: Extract<Config["storage"], { backend: "s3" }>;
};
export type DeployedConfig = InBucket<BackupConfig>;
export type DeployedRestoreConfig = InBucket<RestoreConfig>;

/**
 * By the section of a configuration that names a cluster. `elsewhere`: where the cluster wants
 * one, somebody else has it, and this process does not talk to that cluster.
 */
export type Logins = Readonly<Partial<Record<"source" | "target", Login | "elsewhere">>>;

export interface DeploymentOptions extends ParseOptions {
  /** Of the clusters that want one; those of sections that the file lacks are passed over. */
  readonly logins: Logins;
}

const standIn: Login = { username: "-", password: "-" };

/** Where the parts of a login belong, by mechanism. */
const passwordKeys = { username: "sasl_username", password: "sasl_password" } as const;
const clientKeys = {
  username: "sasl_oauthbearer_client_id",
  password: "sasl_oauthbearer_client_secret",
} as const;
const loginKeys: readonly string[] = [passwordKeys, clientKeys].flatMap(Object.values);

const roles = "is not for a deployment: its functions have roles of their own";
const bucketKeys = "is not for a deployment: its bucket has a key of its own and encrypts by it";
const files = "is not for a deployment: its functions have no such file";
const secret = "is not for a deployment's file: name the secret that holds username and password";
const ownTable = "is not for a deployment: it makes a table of its own";

const refusedOfCluster = {
  sasl_username: secret,
  sasl_password: secret,
  sasl_oauthbearer_client_id: secret,
  sasl_oauthbearer_client_secret: secret,
  sasl_oauthbearer_token_file: files,
  ssl_ca_location: files,
  ssl_certificate_location: files,
  ssl_key_location: files,
  ssl_key_password: files,
} as const;

const refused = {
  source: refusedOfCluster,
  target: refusedOfCluster,
  storage: {
    ...{ access_key_id: roles, secret_access_key: roles, session_token: roles },
    ...{ encryption: bucketKeys, kms_key_id: bucketKeys },
  },
} as const;

/** As `parseConfig`, and InvalidConfigError that names each key that a deployment cannot have. */
export function parseDeployment(text: string, options: DeploymentOptions): DeployedConfig {
  return parseMode("backup", text, options);
}

/** When the deployment runs by itself: `schedules` of its file for backups. Errors as above. */
export function parseSchedules(text: string, options: DeploymentOptions): readonly Schedule[] {
  const { backup_id } = parseDeployment(text, options);
  return schedulesOf(parseKey(text, "schedules", schedulesRule, options), backup_id);
}

/** As `parseDeployment`, of a deployment's configuration for restores. */
export function parseRestoreDeployment(
  text: string,
  options: DeploymentOptions,
): DeployedRestoreConfig {
  return parseMode("restore", text, options);
}

/** Restores into the cluster that is backed up, with the defaults of a restore. */
export function restoreIntoSource(config: DeployedConfig): DeployedRestoreConfig {
  const { backup_id, source, storage } = config;
  const { topics: _, ...target } = source;
  const restored = restoreConfig.parse({ mode: "restore", backup_id, target, storage });
  return { ...restored, storage };
}

/** As text that `parseDeployment` reads again, variables replaced and without logins. */
export function deployedText(config: DeployedConfig | DeployedRestoreConfig): string {
  const withoutLogins = Object.entries(config).map(([section, value]) => {
    if (section !== "source" && section !== "target") return [section, value] as const;
    const keys = Object.entries(value as BackupConfig["source"]);
    return [section, Object.fromEntries(keys.filter(([key]) => !loginKeys.includes(key)))] as const;
  });
  const plain = Object.fromEntries(withoutLogins);
  return JSON.stringify(plain, undefined, 2).replaceAll("${", () => "$${");
}

function parseMode<Mode extends "backup" | "restore">(
  mode: Mode,
  text: string,
  options: DeploymentOptions,
): Mode extends "backup" ? DeployedConfig : DeployedRestoreConfig;
function parseMode(
  mode: "backup" | "restore",
  text: string,
  options: DeploymentOptions,
): DeployedConfig | DeployedRestoreConfig {
  const { fileName, logins } = options;
  const given = keysOf(readYaml(text, options.env).value);
  const problems = Object.entries(refused).flatMap(([section, keys]) =>
    Object.entries(keys)
      .filter(([key]) => keysOf(given[section])[key] !== undefined)
      .map(([key, reason]) => `${fileName} ${section}.${key}: ${reason}`),
  );
  if (given.catalog !== undefined) problems.push(`${fileName} catalog: ${ownTable}`);
  if (problems.length > 0) throw invalid(problems);
  const overrides = loginOverrides(given, logins);
  const keysElsewhere = mode === "backup" ? ["schedules"] : [];
  const config = parseConfig(text, { ...options, overrides, keysElsewhere });
  if (config.mode !== mode) throw invalid([`${fileName} mode: is ${config.mode}, not ${mode}`]);
  const { storage } = config;
  if (storage.backend !== "s3") {
    throw invalid([`${fileName} storage.backend: is ${storage.backend}, but functions share s3`]);
  }
  return { ...config, storage };
}

function loginOverrides(given: Readonly<Record<string, unknown>>, logins: Logins) {
  return Object.entries(logins).flatMap(([section, login]) => {
    const { security_protocol, sasl_mechanism } = keysOf(given[section]);
    const isIam = sasl_mechanism === "AWS_MSK_IAM";
    const wantsLogin = String(security_protocol).startsWith("SASL_") && !isIam;
    if (given[section] === undefined || (login === "elsewhere" && !wantsLogin)) return [];
    const { username, password } = login === "elsewhere" ? standIn : login;
    const from = `the secret with the login of ${section}`;
    const keys = sasl_mechanism === "OAUTHBEARER" ? clientKeys : passwordKeys;
    return [
      { path: [section, keys.username] as const, value: username, from },
      { path: [section, keys.password] as const, value: password, from },
    ];
  });
}

function keysOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function invalid(problems: readonly string[]): BackupError {
  return new BackupError("InvalidConfigError", problems.join("\n"), {
    hint: "docs/aws-guide.md shows the configuration of a deployment.",
  });
}
