import { BackupError, type ErrorName } from "#core/errors.ts";
import { isOfNetwork } from "#core/storage/aws-connection.ts";

/**
 * What S3 or the way to it threw, as far as it matters here: the SDK's exceptions bear `$metadata`
 * and S3's error code as their name, those of the network Node's `code`.
 */
interface ForeignError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** S3's codes whose HTTP status says too little, and the SDK's own. */
const namesByCode: Readonly<Record<string, ErrorName>> = {
  NoSuchKey: "ObjectNotFoundError",
  NotFound: "ObjectNotFoundError",
  NoSuchBucket: "InvalidRequestError",
  SlowDown: "ThrottledError",
  Throttling: "ThrottledError",
  ThrottlingException: "ThrottledError",
  RequestLimitExceeded: "ThrottledError",
  TooManyRequestsException: "ThrottledError",
  // Two conditional writes at once: neither is refused for good.
  ConditionalRequestConflict: "StorageUnavailableError",
  OperationAborted: "StorageUnavailableError",
  // Bytes lost or changed on the way.
  RequestTimeout: "StorageUnavailableError",
  BadDigest: "StorageUnavailableError",
  IncompleteBody: "StorageUnavailableError",
  XAmzContentSHA256Mismatch: "StorageUnavailableError",
  XAmzContentChecksumMismatch: "StorageUnavailableError",
  TimeoutError: "StorageUnavailableError",
  ExpiredToken: "AccessDeniedError",
  InvalidToken: "AccessDeniedError",
  CredentialsProviderError: "AccessDeniedError",
  // 5xx that no repetition changes.
  NotImplemented: "InvalidRequestError",
};

const hintsByCode: Readonly<Record<string, string>> = {
  NoSuchBucket: "Create the bucket, or correct storage.bucket, region and endpoint.",
  PermanentRedirect: "Set storage.region to the bucket's own region.",
  AuthorizationHeaderMalformed: "Set storage.region to the bucket's own region.",
  NotImplemented: "The store must support conditional writes (If-None-Match) and checksums.",
  CredentialsProviderError:
    "Set access_key_id and secret_access_key, AWS_* variables, a profile, or an instance role.",
  RequestTimeTooSkewed:
    "Set this machine's clock (NTP): S3 refuses what is signed more than 15 minutes off.",
  InvalidObjectState: "The object is archived: restore it to a readable storage class first.",
  AccessDenied:
    "Grant the operation on bucket and prefix; without s3:ListBucket, S3 answers so too for " +
    "an object that does not exist.",
};

/** KMS's own refusals come as S3's with the code `KMS.`, e.g. KMS.NotFoundException. */
const keyHint =
  "Correct storage.kms_key_id: the key must be there, enabled, and in the bucket's region.";

/** The error in our words with S3's name in the text, or as it is when it is none of S3's. */
export function translateS3Error(error: unknown, verb: string, url: string, key: string): unknown {
  if (error instanceof BackupError || !(error instanceof Error)) return error;
  const code = codeOf(error);
  const name = code === undefined ? undefined : nameOf(error, code);
  if (code === undefined || name === undefined) return error;
  const where = key === "" ? url : `${url}: ${key}`;
  const hint = code.startsWith("KMS.") ? keyHint : hintsByCode[code];
  return new BackupError(name, `${where}: cannot ${verb}: ${code}${reasonOf(error, code)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

export function statusOf(error: unknown): number | undefined {
  return (error as ForeignError).$metadata?.httpStatusCode;
}

/** S3's code, the network's code, or undefined where the error is neither's. */
export function codeOf(error: unknown): string | undefined {
  const { name, code, message } = error as ForeignError;
  if (typeof code === "string") return code;
  if (statusOf(error) !== undefined || namesByCode[name] !== undefined) return name;
  // What the SDK throws when a body does not match its checksum bears no name of its own.
  return message.startsWith("Checksum mismatch") ? "ChecksumMismatch" : undefined;
}

function nameOf(error: Error, code: string): ErrorName | undefined {
  const known = namesByCode[code];
  if (known !== undefined) return known;
  const status = statusOf(error);
  if (status === undefined) return isOfNetwork(error) ? "StorageUnavailableError" : undefined;
  if (status === 401 || status === 403) return "AccessDeniedError";
  if (status === 404) return "ObjectNotFoundError";
  if (status === 429) return "ThrottledError";
  if (status >= 500) return "StorageUnavailableError";
  // An answer that is not S3's at all (a proxy's page) comes with status 200.
  return status < 300 ? "StorageUnavailableError" : "InvalidRequestError";
}

const reasonLengthMax = 200;

/** Messages of S3 name keys and hosts, never secrets; a bare code is not said twice. */
function reasonOf(error: Error, code: string): string {
  const text = error.message.replace(/\s+/g, " ").trim().slice(0, reasonLengthMax);
  return text === "" || text === code || text === "UnknownError" ? "" : ` (${text})`;
}
