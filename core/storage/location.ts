/**
 * Where a storage is, as data. Configuration files spell it out; `--path` says it in one word:
 *
 *     /var/backups   backups   file:///var/backups
 *     s3://bucket/prefix?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=true
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

export interface MemoryLocation {
  readonly backend: "memory";
  readonly name: string;
}

export type StorageConfig = FilesystemLocation | S3Location | MemoryLocation;

const s3Parameters = ["endpoint", "region", "path_style", "encryption", "kms_key_id"];
const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
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
  if (!URL.canParse(location)) throw invalid("it is not a URL");
  const url = new URL(location);
  if (url.username !== "" || url.password !== "") throw invalid("it must not hold credentials");
  if (!bucketPattern.test(url.host)) throw invalid("a bucket name is 3 to 63 of a-z 0-9 . -");
  for (const name of url.searchParams.keys()) {
    if (!s3Parameters.includes(name)) {
      throw invalid(`there is no parameter ${name}; known are ${s3Parameters.join(", ")}`);
    }
    if (url.searchParams.getAll(name).length > 1) throw invalid(`${name} is given twice`);
  }
  const region = url.searchParams.get("region");
  const endpoint = url.searchParams.get("endpoint");
  const pathStyle = url.searchParams.get("path_style");
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
  return endpoint;
}

function parseBoolean(text: string): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw invalid("path_style is true or false");
}

function invalid(reason: string): BackupError {
  return new BackupError("InvalidRequestError", `the storage location cannot be used: ${reason}`, {
    hint: "Give a folder, file:///folder, or s3://bucket/prefix?endpoint=URL&region=NAME.",
  });
}
