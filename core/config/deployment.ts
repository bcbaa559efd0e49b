// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/**
 * What a backup's configuration has to be for a deployment: a bucket, a role in place of keys, a
 * login that a secret holds, and no files but its own.
 */
import { type ParseOptions, parseConfig } from "#core/config/parse.ts";
import type { BackupConfig } from "#core/config/schema.ts";
import { readYaml } from "#core/config/yaml.ts";
import { BackupError } from "#core/errors.ts";

/** Of the cluster; a secret of this form is what Amazon MSK takes for SASL/SCRAM. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

export type DeployedConfig = BackupConfig & {
  readonly storage: Extract<BackupConfig["storage"], { backend: "s3" }>;
};

export interface DeploymentOptions extends ParseOptions {
  /** Undefined where the cluster wants no login. */
  readonly login: Login | undefined;
}

const roles = "is not for a deployment: its functions have roles of their own";
const files = "is not for a deployment: its functions have no such file";
const secret = "is not for a deployment's file: name the secret that holds username and password";
const ownTable = "is not for a deployment: it makes a table of its own";

const refused = {
  source: {
    sasl_username: secret,
    sasl_password: secret,
    ssl_ca_location: files,
    ssl_certificate_location: files,
    ssl_key_location: files,
  },
  storage: { access_key_id: roles, secret_access_key: roles, session_token: roles },
} as const;

/** As `parseConfig`, and InvalidConfigError that names each key that a deployment cannot have. */
export function parseDeployment(text: string, options: DeploymentOptions): DeployedConfig {
  const { fileName, login } = options;
  const given = keysOf(readYaml(text, options.env).value);
  const problems = Object.entries(refused).flatMap(([section, keys]) =>
    Object.entries(keys)
      .filter(([key]) => keysOf(given[section])[key] !== undefined)
      .map(([key, reason]) => `${fileName} ${section}.${key}: ${reason}`),
  );
  if (given.catalog !== undefined) problems.push(`${fileName} catalog: ${ownTable}`);
  if (problems.length > 0) throw invalid(problems);
  const overrides = login === undefined ? [] : loginOverrides(login);
  const config = parseConfig(text, { ...options, overrides });
  if (config.mode !== "backup") throw invalid([`${fileName} mode: is ${config.mode}, not backup`]);
  const { storage } = config;
  if (storage.backend !== "s3") {
    throw invalid([`${fileName} storage.backend: is ${storage.backend}, but functions share s3`]);
  }
  return { ...config, storage };
}

/** As text that `parseDeployment` reads again, variables replaced and without the login. */
export function deployedText(config: DeployedConfig): string {
  const { sasl_username, sasl_password, ...source } = config.source;
  return JSON.stringify({ ...config, source }, undefined, 2).replaceAll("${", () => "$${");
}

function loginOverrides({ username, password }: Login) {
  const from = "the login's secret";
  return [
    { path: ["source", "sasl_username"], value: username, from },
    { path: ["source", "sasl_password"], value: password, from },
  ];
}

function keysOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function invalid(problems: readonly string[]): BackupError {
  return new BackupError("InvalidConfigError", problems.join("\n"), {
    hint: "docs/aws-guide.md shows the configuration of a deployment.",
  });
}
