/** Translates what goes wrong before a broker takes requests: name, port, TLS, login. */
import { BackupError, isBackupError } from "#core/errors.ts";
import type { LoginIdentity } from "#core/kafka/broker-connection.ts";
import { kafkaError } from "#core/kafka/kafka-errors.ts";

/** Node's and OpenSSL's codes for a server certificate that we do not accept. */
export const certificateCodes = new Set([
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

const dnsCodes = new Set(["ENOTFOUND", "EAI_AGAIN"]);

export function connectError(
  error: unknown,
  step: "connect" | "versions" | "login",
  identity: Omit<LoginIdentity, "clientId">,
  address: string,
): BackupError {
  if (isBackupError(error)) return error;
  const { name, message, code: rawCode } = error as Error & { code?: unknown };
  // Kafkajs's protocol errors bear the number of Kafka's error, Node's a name.
  if (typeof rawCode === "number") {
    return kafkaError({ code: rawCode, what: `${identity.login ?? step} at ${address}`, message });
  }
  const code = typeof rawCode === "string" ? rawCode : undefined;
  const options = { cause: error, details: { broker: address } };
  if (name === "KafkaJSSASLAuthenticationError") {
    return new BackupError(
      "AccessDeniedError",
      `${address} refused ${identity.login}: ${message}`,
      { ...options, ...(identity.loginHint !== undefined && { hint: identity.loginHint }) },
    );
  }
  if (code !== undefined && certificateCodes.has(code)) {
    return new BackupError(
      "AccessDeniedError",
      `the certificate of ${address} is not accepted: ${message} (${code})`,
      { ...options, hint: "Set the CA that signed the broker's certificate, and its own name." },
    );
  }
  if (code?.startsWith("ERR_SSL") || code?.startsWith("ERR_OSSL")) {
    return new BackupError(
      "AccessDeniedError",
      `TLS with ${address} failed: ${message} (${code})`,
      {
        ...options,
        hint: "Check security_protocol, the client certificate and its key.",
      },
    );
  }
  const what =
    code !== undefined && dnsCodes.has(code)
      ? `the name of ${address} does not resolve`
      : `${address} cannot be reached`;
  const closed = code === undefined || code === "ECONNRESET";
  const guess =
    closed && step !== "login"
      ? `; is it a listener ${identity.withTls ? "with" : "without"} TLS?`
      : "";
  return new BackupError("BrokerUnavailableError", `${what}: ${message}${guess}`, options);
}
