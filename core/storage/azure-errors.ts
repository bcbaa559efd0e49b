import { BackupError, type ErrorName } from "#core/errors.ts";

/**
 * What the service or the way to it threw, as far as it matters here: the SDK's `RestError` bears
 * the HTTP status and, as its code, the service's error code or the network's.
 */
interface ForeignError {
  readonly name: string;
  readonly message: string;
  readonly code?: unknown;
  readonly statusCode?: unknown;
  readonly details?: { readonly errorCode?: unknown };
}

/** Codes whose HTTP status says too little. */
const namesByCode: Readonly<Record<string, ErrorName>> = {
  BlobNotFound: "ObjectNotFoundError",
  ContainerNotFound: "InvalidRequestError",
  ContainerBeingDeleted: "InvalidRequestError",
  ServerBusy: "ThrottledError",
  OperationTimedOut: "StorageUnavailableError",
  InternalError: "StorageUnavailableError",
  // Bytes changed on the way.
  Md5Mismatch: "StorageUnavailableError",
  // The time limit of a call.
  AbortError: "StorageUnavailableError",
  // What @azure/identity throws has no status.
  CredentialUnavailableError: "AccessDeniedError",
  AggregateAuthenticationError: "AccessDeniedError",
  AuthenticationError: "AccessDeniedError",
  AuthenticationRequiredError: "AccessDeniedError",
};

const hintsByCode: Readonly<Record<string, string>> = {
  ContainerNotFound: "Create the container, or correct storage.container, account and endpoint.",
  AuthenticationFailed: "Correct account_key or sas_token; a wrong clock is refused so too.",
  AuthorizationPermissionMismatch: "Grant the identity Storage Blob Data Contributor.",
  AuthorizationFailure: "The account's firewall or the token's permissions refuse this.",
  CredentialUnavailableError:
    "Set account_key, sas_token or connection_string, AZURE_* variables, or a managed identity.",
  AggregateAuthenticationError:
    "Set account_key, sas_token or connection_string, AZURE_* variables, or a managed identity.",
  BlobArchived: "The blob is archived: rehydrate it to a readable access tier first.",
};

/** The error in our words with Azure's code in the text, or as it is when it is none of Azure's. */
export function translateAzureError(
  error: unknown,
  verb: string,
  url: string,
  key: string,
): unknown {
  if (error instanceof BackupError || !(error instanceof Error)) return error;
  const code = azureCodeOf(error);
  const name = code === undefined ? undefined : nameOf(error, code);
  if (code === undefined || name === undefined) return error;
  const where = key === "" ? url : `${url}: ${key}`;
  const hint = hintsByCode[code];
  return new BackupError(name, `${where}: cannot ${verb}: ${code}${reasonOf(error, code)}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

export function azureStatusOf(error: unknown): number | undefined {
  const { statusCode } = error as ForeignError;
  return typeof statusCode === "number" ? statusCode : undefined;
}

/** The service's code, the network's code, or undefined where the error is neither's. */
export function azureCodeOf(error: unknown): string | undefined {
  const { name, code, details } = error as ForeignError;
  if (typeof details?.errorCode === "string") return details.errorCode;
  if (typeof code === "string" && code !== "") return code;
  const status = azureStatusOf(error);
  // Answers to HEAD have no body, and so no code.
  if (status !== undefined) return `HTTP ${status}`;
  return namesByCode[name] === undefined ? undefined : name;
}

function nameOf(error: Error, code: string): ErrorName | undefined {
  const known = namesByCode[code] ?? namesByCode[error.name];
  if (known !== undefined) return known;
  const status = azureStatusOf(error);
  if (status === undefined) return isOfNetwork(error, code) ? "StorageUnavailableError" : undefined;
  if (status === 401 || status === 403) return "AccessDeniedError";
  if (status === 404) return "ObjectNotFoundError";
  if (status === 408) return "StorageUnavailableError";
  if (status === 429 || status === 503) return "ThrottledError";
  if (status >= 500) return "StorageUnavailableError";
  // An answer that is not Azure's at all (a proxy's page) comes with status 200.
  return status < 300 ? "StorageUnavailableError" : "InvalidRequestError";
}

/** Node's own argument errors have codes too (ERR_...); they are mistakes of this program. */
function isOfNetwork(error: Error, code: string): boolean {
  return !(code.startsWith("ERR_") && error instanceof TypeError);
}

const reasonLengthMax = 200;

/**
 * The first line of Azure's message; those behind name the request. Never anything behind a `?`,
 * where a URL would have its signature (S5).
 */
function reasonOf(error: Error, code: string): string {
  const [line = ""] = error.message.split("\n");
  const text = line.replace(/\?\S*/g, "?…").trim().slice(0, reasonLengthMax);
  return text === "" || text === code ? "" : ` (${text})`;
}
