/**
 * Where a storage is, as data. Configuration files spell it out; `--path` says it in one word:
 *
 *     /var/backups   backups   file:///var/backups
 *     s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=true
 *     azure://container/prefix?account=NAME&endpoint=https://NAME.blob.core.windows.net
 *     gs://bucket/prefix?endpoint=http://127.0.0.1:4443&authentication=none
 *     memory:name
 */
import { fileURLToPath } from "node:url";
import { BackupError } from "#core/errors.ts";
import type { AwsConnection } from "#core/storage/aws-connection.ts";
import { checkRelativeKey } from "#core/storage/keys.ts";

export interface FilesystemLocation {
  readonly backend: "filesystem";
  /** A relative one starts at the working directory. */
  readonly path: string;
}

export interface S3Location extends AwsConnection {
  readonly backend: "s3";
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
  /** The bucket in the URL's path and not in its host. True with an endpoint unless said. */
  readonly path_style?: boolean | undefined;
  /** At rest, asked for with each object; undefined: the bucket's own default. */
  readonly encryption?: "sse-s3" | "sse-kms" | undefined;
  /** With `sse-kms`: the key; undefined: the account's own for S3. */
  readonly kms_key_id?: string | undefined;
}

export interface AzureLocation {
  readonly backend: "azure";
  readonly container: string;
  /** Without slashes at its ends; empty for the whole container. */
  readonly prefix: string;
  /** The storage account; the connection string names its own. */
  readonly account?: string | undefined;
  /** URL of the blob service. Of the account in the public cloud unless said. */
  readonly endpoint?: string | undefined;
  /** One of these three at most. Without: what Azure's identity library finds. */
  readonly account_key?: string | undefined;
  readonly sas_token?: string | undefined;
  readonly connection_string?: string | undefined;
}

export interface GcsLocation {
  readonly backend: "gcs";
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
  /** URL of a service that is not Google's own. */
  readonly endpoint?: string | undefined;
  /** `none` for emulators; else application default credentials. */
  readonly authentication?: "default" | "none" | undefined;
}

export interface MemoryLocation {
  readonly backend: "memory";
  readonly name: string;
}

export type StorageConfig =
  | FilesystemLocation
  | S3Location
  | AzureLocation
  | GcsLocation
  | MemoryLocation;

const s3Parameters = ["endpoint", "region", "path_style", "encryption", "kms_key_id"];
const azureParameters = ["account", "endpoint"];
const gcsParameters = ["endpoint", "authentication"];
const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** As Azure and Google name what they keep. */
export const azureContainerPattern = /^[a-z0-9](?:[a-z0-9]|-(?!-)){1,61}[a-z0-9]$/;
export const azureAccountPattern = /^[a-z0-9]{3,24}$/;
export const gcsBucketPattern = /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/;
/** A scheme of two letters or more, so that a drive letter stays a path. */
const schemePattern = /^([A-Za-z][A-Za-z0-9+.-]+):/;

/** Throws InvalidRequestError. Never quotes what could be a secret. */
export function parseLocation(location: string): StorageConfig {
  if (location === "") throw invalid("it is empty");
  const scheme = schemePattern.exec(location)?.[1]?.toLowerCase();
  switch (scheme) {
    case undefined:
      return { backend: "filesystem", path: location };
    case "file":
      return { backend: "filesystem", path: pathOfFileUrl(location) };
    case "s3":
      return parseS3(location);
    case "azure":
      return parseAzure(location);
    case "gs":
      return parseGcs(location);
    case "memory":
      return { backend: "memory", name: location.slice("memory:".length) || "default" };
    default:
      throw invalid(`${scheme}: is not a kind of storage that is known`);
  }
}

function pathOfFileUrl(location: string): string {
  try {
    return fileURLToPath(location);
  } catch {
    throw invalid("a file URL is file:///absolute/path, without host or encoded slashes");
  }
}

function parseS3(location: string): S3Location {
  const rule = { pattern: bucketPattern, problem: "a bucket name is 3 to 63 of a-z 0-9 . -" };
  const { url, parameter } = parseUrl(location, rule, s3Parameters);
  const region = parameter("region");
  const endpoint = parameter("endpoint");
  const pathStyle = parameter("path_style");
  return {
    backend: "s3",
    bucket: url.host,
    prefix: prefixOf(url),
    ...(region === null ? {} : { region }),
    ...(endpoint === null ? {} : { endpoint: checkEndpoint(endpoint) }),
    ...(pathStyle === null ? {} : { path_style: parseBoolean(pathStyle) }),
    ...encryptionIn(url),
  };
}

function encryptionIn(url: URL): Pick<S3Location, "encryption" | "kms_key_id"> {
  const encryption = url.searchParams.get("encryption");
  const kms_key_id = url.searchParams.get("kms_key_id");
  if (kms_key_id !== null && encryption !== "sse-kms") {
    throw invalid("kms_key_id does nothing without encryption=sse-kms");
  }
  if (encryption === null) return {};
  if (encryption !== "sse-s3" && encryption !== "sse-kms") {
    throw invalid("encryption is sse-s3 or sse-kms");
  }
  return { encryption, ...(kms_key_id !== null && { kms_key_id }) };
}

function parseAzure(location: string): AzureLocation {
  const rule = { pattern: azureContainerPattern, problem: "a container is 3 to 63 of a-z 0-9 -" };
  const { url, parameter } = parseUrl(location, rule, azureParameters);
  const account = parameter("account");
  const endpoint = parameter("endpoint");
  if (account !== null && !azureAccountPattern.test(account)) {
    throw invalid("a storage account is 3 to 24 of a-z 0-9");
  }
  return {
    backend: "azure",
    container: url.host,
    prefix: prefixOf(url),
    ...(account === null ? {} : { account }),
    ...(endpoint === null ? {} : { endpoint: checkEndpoint(endpoint) }),
  };
}

function parseGcs(location: string): GcsLocation {
  const rule = { pattern: gcsBucketPattern, problem: "a bucket name is 3 to 222 of a-z 0-9 . - _" };
  const { url, parameter } = parseUrl(location, rule, gcsParameters);
  const endpoint = parameter("endpoint");
  const authentication = parameter("authentication");
  if (authentication !== null && authentication !== "none" && authentication !== "default") {
    throw invalid("authentication is default or none");
  }
  return {
    backend: "gcs",
    bucket: url.host,
    prefix: prefixOf(url),
    ...(endpoint === null ? {} : { endpoint: checkEndpoint(endpoint) }),
    ...(authentication === null ? {} : { authentication }),
  };
}

/** A bucket, a prefix, and parameters of which each is known and given once. */
function parseUrl(
  location: string,
  host: { readonly pattern: RegExp; readonly problem: string },
  parameters: readonly string[],
): { url: URL; parameter: (name: string) => string | null } {
  if (!URL.canParse(location)) throw invalid("it is not a URL");
  const url = new URL(location);
  if (url.username !== "" || url.password !== "") throw invalid("it must not hold credentials");
  if (!host.pattern.test(url.host)) throw invalid(host.problem);
  for (const name of url.searchParams.keys()) {
    if (!parameters.includes(name)) {
      throw invalid(`there is no parameter ${name}; known are ${parameters.join(", ")}`);
    }
    if (url.searchParams.getAll(name).length > 1) throw invalid(`${name} is given twice`);
  }
  return { url, parameter: (name) => url.searchParams.get(name) };
}

function prefixOf(url: URL): string {
  let prefix: string;
  try {
    prefix = decodeURIComponent(url.pathname).replace(/^\/+|\/+$/g, "");
    if (prefix !== "") checkRelativeKey(prefix);
  } catch {
    throw invalid("the prefix has an empty, `.` or `..` part, or characters that keys cannot have");
  }
  return prefix;
}

function checkEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url?.protocol !== "http:" && url?.protocol !== "https:") {
    throw invalid("an endpoint begins with http:// or https://");
  }
  if (url.username !== "" || url.password !== "") {
    throw invalid("the endpoint must not hold credentials");
  }
  // A signature would stand there.
  if (url.search !== "") throw invalid("the endpoint must not have parameters");
  return endpoint;
}

function parseBoolean(text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw invalid("path_style is true or false");
}

function invalid(reason: string): BackupError {
  return new BackupError("InvalidRequestError", `the storage location cannot be used: ${reason}`, {
    hint:
      "Give a folder, file:///folder, s3://bucket/prefix?endpoint=URL&region=NAME, " +
      "azure://container/prefix?account=NAME, or gs://bucket/prefix.",
  });
}
