/** Extra listeners of the local Kafka, with TLS and SASL, to log in to as a real client does. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type KafkaCertificates, makeCertificates } from "#local/kafka-certificates.ts";
import { freePort } from "#local/processes.ts";

export interface KafkaListener {
  /** Upper-case letters and digits; names the listener in the broker's settings. */
  readonly name: string;
  readonly protocol: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";
  /** For SASL. */
  readonly mechanisms?: readonly ("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER")[];
  /** For SASL: name to password. The same name has one password on all listeners. */
  readonly users?: Readonly<Record<string, string>>;
  /**
   * For OAUTHBEARER: whose tokens it takes. Without it: such that nobody signed, for development,
   * as Kafka says.
   */
  readonly tokens?: TokenIssuer;
  /** For TLS: whether clients must show a certificate of the same authority. */
  readonly clientCertificate?: "required";
}

export interface TokenIssuer {
  /** The issuer's public keys, as a JSON Web Key Set. */
  readonly jwksFile: string;
  readonly issuer: string;
  readonly audience: string;
}

export interface PreparedListeners {
  readonly settings: Readonly<Record<string, string>>;
  /** Arguments of the storage tool that create the SCRAM users. */
  readonly formatArgs: readonly string[];
  readonly certificates: KafkaCertificates | undefined;
}

/** A free `host:port` for each listener, by its name. */
export async function listenerAddresses(
  listeners: readonly KafkaListener[],
): Promise<Record<string, string>> {
  const addresses: Record<string, string> = {};
  for (const { name } of listeners) addresses[name] = `127.0.0.1:${await freePort()}`;
  return addresses;
}

/** Makes certificates in `folder`, and what all brokers are told of the given listeners. */
export async function prepareListeners(
  listeners: readonly KafkaListener[],
  folder: string,
): Promise<PreparedListeners> {
  const settings: Record<string, string> = {};
  const formatArgs: string[] = [];
  const withTls = listeners.some((listener) => listener.protocol.endsWith("SSL"));
  const certificates = withTls ? await makeCertificates(folder) : undefined;
  for (const listener of listeners) {
    const prefix = `listener.name.${listener.name.toLowerCase()}`;
    if (listener.protocol.endsWith("SSL")) {
      Object.assign(settings, tlsSettings(prefix, listener, folder));
    }
    if (listener.protocol.startsWith("SASL")) {
      Object.assign(settings, saslSettings(prefix, listener));
      formatArgs.push(...scramArgs(listener));
    }
  }
  return { settings, formatArgs, certificates };
}

function tlsSettings(prefix: string, listener: KafkaListener, folder: string) {
  return {
    [`${prefix}.ssl.keystore.type`]: "PEM",
    [`${prefix}.ssl.keystore.location`]: join(folder, "server.pem"),
    [`${prefix}.ssl.truststore.type`]: "PEM",
    [`${prefix}.ssl.truststore.location`]: join(folder, "ca.crt"),
    [`${prefix}.ssl.client.auth`]: listener.clientCertificate ?? "none",
  };
}

const securityPackage = "org.apache.kafka.common.security";

function saslSettings(prefix: string, listener: KafkaListener): Record<string, string> {
  const mechanisms = listener.mechanisms ?? [];
  const settings: Record<string, string> = {
    [`${prefix}.sasl.enabled.mechanisms`]: mechanisms.join(","),
  };
  for (const mechanism of mechanisms) {
    const key = `${prefix}.${mechanism.toLowerCase()}.sasl.jaas.config`;
    settings[key] = `${loginModule(mechanism)} required${
      mechanism === "PLAIN" ? ` ${plainUsers(listener)}` : ""
    };`;
    if (mechanism === "OAUTHBEARER" && listener.tokens !== undefined) {
      Object.assign(settings, tokenSettings(`${prefix}.oauthbearer`, listener.tokens));
    }
  }
  return settings;
}

function tokenSettings(prefix: string, { jwksFile, issuer, audience }: TokenIssuer) {
  return {
    [`${prefix}.sasl.server.callback.handler.class`]: `${securityPackage}.oauthbearer.OAuthBearerValidatorCallbackHandler`,
    [`${prefix}.sasl.oauthbearer.jwks.endpoint.url`]: pathToFileURL(jwksFile).href,
    [`${prefix}.sasl.oauthbearer.expected.issuer`]: issuer,
    [`${prefix}.sasl.oauthbearer.expected.audience`]: audience,
  };
}

/** Kafka reads keys from no place that its JVM is not told beforehand. */
export function tokenJvmArgs(listeners: readonly KafkaListener[]): string[] {
  const files = listeners.flatMap(({ tokens }) => (tokens === undefined ? [] : [tokens.jwksFile]));
  if (files.length === 0) return [];
  const urls = files.map((file) => pathToFileURL(file).href);
  return [
    `-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=${urls.join(",")}`,
    `-Dorg.apache.kafka.sasl.oauthbearer.allowed.files=${files.join(",")}`,
  ];
}

function loginModule(mechanism: string): string {
  if (mechanism === "PLAIN") return `${securityPackage}.plain.PlainLoginModule`;
  if (mechanism === "OAUTHBEARER") return `${securityPackage}.oauthbearer.OAuthBearerLoginModule`;
  return `${securityPackage}.scram.ScramLoginModule`;
}

function plainUsers(listener: KafkaListener): string {
  const users = Object.entries(listener.users ?? {});
  return users.map(([name, password]) => `user_${name}="${password}"`).join(" ");
}

function scramArgs(listener: KafkaListener): string[] {
  const mechanisms = (listener.mechanisms ?? []).filter((name) => name.startsWith("SCRAM"));
  return mechanisms.flatMap((mechanism) =>
    Object.entries(listener.users ?? {}).flatMap(([name, password]) => [
      "--add-scram",
      `${mechanism}=[name=${name},password=${password}]`,
    ]),
  );
}
