/** Fills what a configuration leaves open about its storage from each provider's variables. */
import type { TableLocation } from "#core/catalog/table.ts";
import type { Environment } from "#core/config/variables.ts";
import { BackupError } from "#core/errors.ts";
import type {
  AzureLocation,
  GcsLocation,
  S3Location,
  StorageConfig,
} from "#core/storage/location.ts";

/**
 * The storage with region, endpoint and credentials out of `env` where it names none; an endpoint
 * implies path style. Credentials are taken together from one source only, and not at all where
 * AWS_PROFILE is set: the AWS SDK then looks into that profile, and does so here too.
 */
function withAwsEnvironment(storage: StorageConfig, env: Environment): StorageConfig {
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

/** The storage with what `env` says of it, whichever it is. Throws InvalidRequestError. */
export function withStorageEnvironment(storage: StorageConfig, env: Environment): StorageConfig {
  switch (storage.backend) {
    case "azure":
      return withAzureEnvironment(storage, env);
    case "gcs":
      return withGcsEnvironment(storage, env);
    default:
      return withAwsEnvironment(storage, env);
  }
}

/**
 * The variables of Azure's own command line. Credentials of the configuration stand over all of
 * them; where there is neither, AZURE_CLIENT_ID and others are for Azure's identity library.
 */
function withAzureEnvironment(storage: AzureLocation, env: Environment): AzureLocation {
  const isGiven = storage.account_key ?? storage.sas_token ?? storage.connection_string;
  const place = storage.account ?? storage.endpoint;
  const connection_string = firstSet(env, "AZURE_STORAGE_CONNECTION_STRING");
  if (storage.connection_string !== undefined) return storage;
  // One that was given a place of its own is not sent elsewhere by a variable.
  if (isGiven === undefined && place === undefined && connection_string !== undefined) {
    return { ...storage, connection_string };
  }
  const account = storage.account ?? firstSet(env, "AZURE_STORAGE_ACCOUNT");
  const account_key = firstSet(env, "AZURE_STORAGE_KEY");
  const sas_token = firstSet(env, "AZURE_STORAGE_SAS_TOKEN");
  if (account === undefined && storage.endpoint === undefined) {
    throw new BackupError("InvalidRequestError", "the Azure storage account is not known", {
      hint: "Set storage.account (in a location ?account=NAME) or AZURE_STORAGE_ACCOUNT.",
    });
  }
  const secret = account_key === undefined ? { sas_token } : { account_key };
  return {
    ...storage,
    ...(account !== undefined && { account }),
    ...(isGiven === undefined && secret),
  };
}

/** As Google's own clients take it: a host with its port, or a URL. */
function withGcsEnvironment(storage: GcsLocation, env: Environment): GcsLocation {
  const emulator = firstSet(env, "STORAGE_EMULATOR_HOST");
  if (storage.endpoint !== undefined || emulator === undefined) return storage;
  const endpoint = /^https?:\/\//.test(emulator) ? emulator : `http://${emulator}`;
  return { ...storage, endpoint, authentication: storage.authentication ?? "none" };
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
