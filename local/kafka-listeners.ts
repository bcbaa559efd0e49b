/** Extra listeners of the local Kafka, with TLS and SASL, to log in to as a real client does. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePort, runToEnd } from "#local/processes.ts";
import { requireOpenssl } from "#local/requirements.mjs";

export interface KafkaListener {
  /** Upper-case letters and digits; names the listener in the broker's settings. */
  readonly name: string;
  readonly protocol: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL";
  /** For SASL. */
  readonly mechanisms?: readonly ("PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "OAUTHBEARER")[];
  /** For SASL: name to password. The same name has one password on all listeners. */
  readonly users?: Readonly<Record<string, string>>;
  /** For TLS: whether clients must show a certificate of the same authority. */
  readonly clientCertificate?: "required";
}

/** PEM texts: the authority that signed both, and a client's own certificate and key. */
export interface KafkaCertificates {
  readonly ca: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
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
  }
  return settings;
}

/** Without more, OAUTHBEARER takes tokens that nobody signed: for development, as Kafka says. */
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

const validDays = "2";

async function makeCertificates(folder: string): Promise<KafkaCertificates> {
  await requireOpenssl();
  const authority = ["-x509", "-keyout", join(folder, "ca.key"), "-out", join(folder, "ca.crt")];
  await runToEnd("openssl", [
    ...["req", "-newkey", "rsa:2048", "-nodes", "-days", validDays],
    ...[...authority, "-subj", "/CN=local kafka authority"],
  ]);
  await signedCertificate(folder, "server", "subjectAltName=IP:127.0.0.1,DNS:localhost");
  await signedCertificate(folder, "client", "extendedKeyUsage=clientAuth");
  const read = (name: string) => readFile(join(folder, name), "utf8");
  // Kafka reads a key store of type PEM as the key and then its chain, in one file (KIP-651).
  const keyStore = (await read("server.key")) + (await read("server.crt")) + (await read("ca.crt"));
  await writeFile(join(folder, "server.pem"), keyStore, { mode: 0o600 });
  return {
    ca: await read("ca.crt"),
    clientCertificate: await read("client.crt"),
    clientKey: await read("client.key"),
  };
}

async function signedCertificate(folder: string, name: string, extension: string): Promise<void> {
  const [key, request] = [join(folder, `${name}.key`), join(folder, `${name}.csr`)];
  const extensions = join(folder, `${name}.ext`);
  await writeFile(extensions, `${extension}\n`);
  await runToEnd("openssl", [
    ...["req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request],
    ...["-subj", `/CN=${name}`],
  ]);
  await runToEnd("openssl", [
    ...["x509", "-req", "-in", request, "-days", validDays, "-extfile", extensions],
    ...["-CA", join(folder, "ca.crt"), "-CAkey", join(folder, "ca.key"), "-CAcreateserial"],
    ...["-out", join(folder, `${name}.crt`)],
  ]);
}
