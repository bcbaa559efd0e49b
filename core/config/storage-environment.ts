/** Fills what a configuration leaves open about AWS from its variables. */
import type { TableLocation } from "#core/catalog/table.ts";
import type { Environment } from "#core/config/variables.ts";
import type { S3Location, StorageConfig } from "#core/storage/location.ts";

/**
 * The storage with region, endpoint and credentials out of `env` where it names none; an endpoint
 * implies path style. Credentials are taken together from one source only, and not at all where
 * AWS_PROFILE is set: the AWS SDK then looks into that profile, and does so here too.
 */
export function withAwsEnvironment(storage: StorageConfig, env: Environment): StorageConfig {
  if (storage.backend !== "s3") return storage;
  const region = storage.region ?? firstSet(env, "AWS_REGION", "AWS_DEFAULT_REGION");
  const endpoint = storage.endpoint ?? firstSet(env, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL");
  return {
    ...storage,
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    path_style: storage.path_style ?? endpoint !== undefined,
    ...credentialsOf(storage, env),
  };
}

/** The same for a table beside it. */
export function tableWithAwsEnvironment(table: TableLocation, env: Environment): TableLocation {
  const region = table.region ?? firstSet(env, "AWS_REGION", "AWS_DEFAULT_REGION");
  const endpoint = table.endpoint ?? firstSet(env, "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL");
  return {
    ...table,
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    ...credentialsOf(table, env),
  };
}

type Credentials = Pick<S3Location, "access_key_id" | "secret_access_key" | "session_token">;

function credentialsOf(given: Credentials, env: Environment): Credentials {
  if (given.access_key_id !== undefined || firstSet(env, "AWS_PROFILE") !== undefined) return {};
  const access_key_id = firstSet(env, "AWS_ACCESS_KEY_ID");
  const secret_access_key = firstSet(env, "AWS_SECRET_ACCESS_KEY");
  const session_token = firstSet(env, "AWS_SESSION_TOKEN");
  if (access_key_id === undefined || secret_access_key === undefined) return {};
  return {
    access_key_id,
    secret_access_key,
    ...(session_token !== undefined && { session_token }),
  };
}

function firstSet(env: Environment, ...names: string[]): string | undefined {
  return names.map((name) => env[name]).find((value) => value !== undefined && value !== "");
}
