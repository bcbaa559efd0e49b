/**
 * The `.properties` file of a Kafka client, as `--command-config` takes it: what it says of reaching
 * a cluster and logging in, in our terms. What matters to security and cannot be honoured is an error; what
 * only tunes Java's client is named, and nothing more.
 */
import {
  type JaasEntry,
  type Property,
  readJaas,
  readProperties,
} from "#core/config/java-properties.ts";
import { suggestionFor } from "#core/config/suggest.ts";
import { BackupError } from "#core/errors.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface ClientProperties {
  /** Without the brokers where the file names none. */
  readonly connection: Partial<ClusterConfig>;
  /** Files whose contents the connection still lacks; a key store holds the certificate and its key. */
  readonly pemFiles: { readonly trustStore?: string; readonly keyStore?: string };
  /** Keys that do nothing here, sorted. */
  readonly ignored: readonly string[];
}

/**
 * Throws InvalidConfigError with a line `file:line key: what is wrong` for each problem. Values of
 * keys that may hold a secret never appear.
 */
export function readClientProperties(text: string, fileName: string): ClientProperties {
  const reading = new Reading(readProperties(text));
  const security_protocol = reading.oneOf("security.protocol", protocols) ?? "PLAINTEXT";
  const servers = reading.take("bootstrap.servers");
  const client_id = reading.take("client.id");
  const tls = readTls(reading, security_protocol.endsWith("SSL"));
  const login = readLogin(reading, security_protocol.startsWith("SASL"));
  const ignored = reading.rest();
  if (reading.problems.length > 0) {
    const lines = reading.problems.map(({ line, text }) =>
      line === undefined ? `${fileName} ${text}` : `${fileName}:${line} ${text}`,
    );
    throw new BackupError("InvalidConfigError", lines.join("\n"), {
      hint: "docs/config.md lists what is taken of a Kafka client's properties.",
    });
  }
  const connection = {
    ...(servers !== undefined && {
      bootstrap_servers: servers.split(",").map((one) => one.trim()),
    }),
    ...(client_id !== undefined && { client_id }),
    security_protocol,
    ...tls.keys,
    ...login,
  };
  return { connection, pemFiles: tls.pemFiles, ignored };
}

const protocols = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] as const;
const securityPackage = "org.apache.kafka.common.security";

/** Keys that decide whom we trust and who we are: one that is not understood is an error. */
const securityKey = /^(ssl|sasl|security|config\.providers)(\.|$)/;
/** When Java's client renews and repeats logins; ours does as the broker's session says. */
const loginTuning =
  /^(sasl\.login\.(refresh\.|retry\.|connect\.timeout|read\.timeout)|sasl\.kerberos\.|sasl\.oauthbearer\.(jwks\.|clock\.|expected\.|scope\.claim|sub\.claim))/;

/** The properties that were not looked at yet, and what was wrong with those that were. */
class Reading {
  readonly problems: { line: number | undefined; text: string }[] = [];
  readonly #left: Map<string, Property>;
  readonly #known = new Set<string>();
  readonly #lines = new Map<string, number>();

  constructor(properties: readonly Property[]) {
    // Of a key that is there twice Java takes the last one.
    this.#left = new Map(properties.map((property) => [property.key, property]));
    for (const { key, line } of this.#left.values()) this.#lines.set(key, line);
  }

  /** Undefined where it is missing or empty, as Kafka's own defaults are. */
  take(key: string): string | undefined {
    return this.takeEvenEmpty(key) || undefined;
  }

  takeEvenEmpty(key: string): string | undefined {
    this.#known.add(key);
    const value = this.#left.get(key)?.value;
    this.#left.delete(key);
    return value?.trim();
  }

  oneOf<T extends string>(key: string, values: readonly T[]): T | undefined {
    const value = this.take(key);
    const found = values.find((one) => one === value);
    if (value !== undefined && found === undefined) {
      this.refuse(key, `must be one of ${values.join(", ")}`);
    }
    return found;
  }

  /** Refuses a value beside those that change nothing here. */
  allow(key: string, isFine: (value: string) => boolean, message: string): void {
    const value = this.take(key);
    if (value !== undefined && !isFine(value)) this.refuse(key, message);
  }

  refuse(key: string, message: string): void {
    this.problems.push({ line: this.#lines.get(key), text: `${key}: ${message}` });
  }

  /** Refuses what is left of security, and returns the other keys that are left. */
  rest(): string[] {
    const keys = [...this.#left.keys()].sort();
    const isOfSecurity = (key: string) => securityKey.test(key) && !loginTuning.test(key);
    for (const key of keys.filter(isOfSecurity)) {
      const suggestion = suggestionFor(key, [...this.#known]);
      const question = suggestion === undefined ? "" : `; did you mean ${suggestion}?`;
      this.refuse(key, `is not supported, and is not ignored as it is of security${question}`);
    }
    return keys.filter((key) => !isOfSecurity(key));
  }
}

const trustRemedy =
  "`keytool -list -rfc -keystore FILE > ca.pem` writes its certificates as PEM; then set ssl.truststore.type=PEM and ssl.truststore.location=ca.pem";
const keyRemedy =
  "`openssl pkcs12 -in FILE.p12 -nodes -out client.pem` writes it as PEM (first `keytool -importkeystore -srckeystore FILE.jks -destkeystore FILE.p12 -deststoretype PKCS12` for a JKS); then set ssl.keystore.type=PEM and ssl.keystore.location=client.pem";

function readTls(
  reading: Reading,
  isUsed: boolean,
): { keys: Partial<ClusterConfig>; pemFiles: ClientProperties["pemFiles"] } {
  const trust = readStore(reading, "truststore", ["ssl.truststore.certificates"], trustRemedy);
  const own = readStore(
    reading,
    "keystore",
    ["ssl.keystore.certificate.chain", "ssl.keystore.key"],
    keyRemedy,
  );
  const [ca] = trust.texts;
  const [chain, key] = own.texts;
  if ((chain === undefined) !== (key === undefined)) {
    const missing = chain === undefined ? "ssl.keystore.certificate.chain" : "ssl.keystore.key";
    reading.refuse(missing, "is required with the other half of the key store");
  }
  const password = reading.take("ssl.key.password");
  const identification = reading.takeEvenEmpty("ssl.endpoint.identification.algorithm");
  if (identification !== undefined && !["", "https"].includes(identification.toLowerCase())) {
    reading.refuse("ssl.endpoint.identification.algorithm", "must be https, or empty");
  }
  checkTlsVersions(reading);
  // A truststore is also for the endpoint of tokens; the rest does nothing without TLS, as in Kafka.
  const keys: Mutable<Partial<ClusterConfig>> = {};
  if (ca !== undefined) keys.ssl_ca = ca;
  if (isUsed) {
    if (chain !== undefined) keys.ssl_certificate = chain;
    if (key !== undefined) keys.ssl_key = key;
    if (password !== undefined) keys.ssl_key_password = password;
    if (identification === "") keys.ssl_endpoint_identification_algorithm = "";
  }
  const pemFiles = {
    ...(trust.location !== undefined && { trustStore: trust.location }),
    ...(isUsed && own.location !== undefined && { keyStore: own.location }),
  };
  return { keys, pemFiles };
}

/** PEM in the file itself, or where it lies. A Java key store, the default type, is refused. */
function readStore(
  reading: Reading,
  store: "truststore" | "keystore",
  textKeys: readonly string[],
  remedy: string,
): { texts: readonly (string | undefined)[]; location: string | undefined } {
  const type = reading.take(`ssl.${store}.type`);
  const location = reading.take(`ssl.${store}.location`);
  const password = reading.take(`ssl.${store}.password`);
  const texts = textKeys.map((key) => pemLines(reading.take(key)));
  const isGiven = location !== undefined || texts.some((text) => text !== undefined);
  if (!isGiven) return { texts, location: undefined };
  if (type?.toUpperCase() !== "PEM") {
    const at = location === undefined ? `ssl.${store}.type` : `ssl.${store}.location`;
    const what = location === undefined ? "must be PEM" : `a ${type ?? "JKS"} store is not read`;
    reading.refuse(at, location === undefined ? what : `${what}: ${remedy}`);
  } else if (password !== undefined) {
    const hint = store === "keystore" ? "; ssl.key.password is that of the key" : "";
    reading.refuse(`ssl.${store}.password`, `does nothing with PEM${hint}`);
  }
  if (location !== undefined && texts.some((text) => text !== undefined)) {
    reading.refuse(`ssl.${store}.location`, `does nothing with ${textKeys.join(", ")}`);
  }
  return { texts, location };
}

/** Continued lines of a properties file make one; OpenSSL reads PEM in lines of 64 signs. */
function pemLines(text: string | undefined): string | undefined {
  return text?.replaceAll(
    /-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----/g,
    (_, label: string, body: string) => {
      const lines = body.replaceAll(/\s/g, "").match(/.{1,64}/g) ?? [];
      return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
    },
  );
}

const tlsVersions = ["TLSv1.2", "TLSv1.3"];

/** This client speaks TLS 1.2 and 1.3, as Kafka's does unless told otherwise. */
function checkTlsVersions(reading: Reading): void {
  const both = `is not taken: this client speaks ${tlsVersions.join(" and ")}`;
  const isBoth = (value: string) => {
    const versions = value.split(",").map((version) => version.trim());
    return tlsVersions.every((version) => versions.includes(version)) && versions.length === 2;
  };
  reading.allow("ssl.enabled.protocols", isBoth, both);
  reading.allow("ssl.protocol", (value) => ["TLS", ...tlsVersions].includes(value), both);
}

const mechanismNames = [
  ...(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const),
  ...(["OAUTHBEARER", "AWS_MSK_IAM"] as const),
];
type Mechanism = (typeof mechanismNames)[number];

const loginModules: Readonly<Record<Mechanism, string>> = {
  PLAIN: `${securityPackage}.plain.PlainLoginModule`,
  "SCRAM-SHA-256": `${securityPackage}.scram.ScramLoginModule`,
  "SCRAM-SHA-512": `${securityPackage}.scram.ScramLoginModule`,
  OAUTHBEARER: `${securityPackage}.oauthbearer.OAuthBearerLoginModule`,
  AWS_MSK_IAM: "software.amazon.msk.auth.iam.IAMLoginModule",
};

/** Classes that do what this client does by itself. */
const knownHandlers = [
  `${securityPackage}.oauthbearer.OAuthBearerLoginCallbackHandler`,
  `${securityPackage}.oauthbearer.secured.OAuthBearerLoginCallbackHandler`,
  `${securityPackage}.oauthbearer.DefaultJwtRetriever`,
  `${securityPackage}.oauthbearer.ClientCredentialsJwtRetriever`,
  `${securityPackage}.oauthbearer.FileJwtRetriever`,
  `${securityPackage}.oauthbearer.DefaultJwtValidator`,
  `${securityPackage}.oauthbearer.ClientJwtValidator`,
  "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
];

function readLogin(reading: Reading, isUsed: boolean): Partial<ClusterConfig> {
  const mechanism = reading.oneOf("sasl.mechanism", mechanismNames);
  const config = reading.take("sasl.jaas.config");
  for (const key of [
    ...["sasl.login.callback.handler.class", "sasl.client.callback.handler.class"],
    ...["sasl.oauthbearer.jwt.retriever.class", "sasl.oauthbearer.jwt.validator.class"],
  ]) {
    reading.allow(key, (value) => knownHandlers.includes(value), "this class is not known here");
  }
  const oauth = readOauthKeys(reading);
  if (!isUsed) return {};
  if (mechanism === undefined) {
    if (!reading.problems.some(({ text }) => text.startsWith("sasl.mechanism:"))) {
      reading.refuse("sasl.mechanism", `is required: ${mechanismNames.join(", ")}`);
    }
    return {};
  }
  const entry = config === undefined ? undefined : readJaas(config);
  const wanted = loginModules[mechanism];
  if (entry?.loginModule !== wanted) {
    const isMissing = config === undefined;
    // Kafka takes the client's id and secret out of keys of their own too (KIP-1139).
    if (isMissing && (mechanism === "OAUTHBEARER" || mechanism === "AWS_MSK_IAM")) {
      return ofMechanism(reading, mechanism, new Map(), oauth);
    }
    reading.refuse(
      "sasl.jaas.config",
      `${isMissing ? "is required" : "must be"}: ${wanted} required …;`,
    );
    return {};
  }
  return ofMechanism(reading, mechanism, entry.options, oauth);
}

interface OauthKeys {
  readonly url: string | undefined;
  readonly clientId: string | undefined;
  readonly clientSecret: string | undefined;
  readonly scope: string | undefined;
}

function readOauthKeys(reading: Reading): OauthKeys {
  const prefix = "sasl.oauthbearer";
  return {
    url: reading.take(`${prefix}.token.endpoint.url`),
    clientId: reading.take(`${prefix}.client.credentials.client.id`),
    clientSecret: reading.take(`${prefix}.client.credentials.client.secret`),
    scope: reading.take(`${prefix}.scope`),
  };
}

function ofMechanism(
  reading: Reading,
  mechanism: Mechanism,
  options: JaasEntry["options"],
  oauth: OauthKeys,
): Partial<ClusterConfig> {
  if (mechanism === "AWS_MSK_IAM") {
    refuseOptions(reading, options, [], "set AWS_PROFILE for a profile");
    return { sasl_mechanism: mechanism };
  }
  if (mechanism === "OAUTHBEARER") return ofTokens(reading, options, oauth);
  refuseOptions(reading, options, ["username", "password"]);
  const [sasl_username, sasl_password] = [options.get("username"), options.get("password")];
  if (!sasl_username || !sasl_password) {
    reading.refuse("sasl.jaas.config", "needs username and password");
  }
  return { sasl_mechanism: mechanism, sasl_username, sasl_password };
}

function ofTokens(
  reading: Reading,
  options: JaasEntry["options"],
  { url, clientId, clientSecret, scope }: OauthKeys,
): Partial<ClusterConfig> {
  const extensions = [...options.keys()].filter((name) => name.startsWith("extension_"));
  refuseOptions(reading, options, ["clientId", "clientSecret", "scope", ...extensions]);
  const sasl_mechanism = "OAUTHBEARER";
  const told = extensions.map((name) => [name.slice("extension_".length), options.get(name)!]);
  const withExtensions = told.length > 0 && {
    sasl_oauthbearer_extensions: Object.fromEntries(told) as Record<string, string>,
  };
  const urlKey = "sasl.oauthbearer.token.endpoint.url";
  if (url === undefined || !URL.canParse(url) || !/^(https?|file):$/.test(new URL(url).protocol)) {
    reading.refuse(urlKey, "is required: a URL with https, http or file");
    return { sasl_mechanism };
  }
  const { protocol, pathname } = new URL(url);
  if (protocol === "file:") {
    const sasl_oauthbearer_token_file = decodeURIComponent(pathname);
    return { sasl_mechanism, sasl_oauthbearer_token_file, ...withExtensions };
  }
  const id = clientId ?? options.get("clientId");
  const secret = clientSecret ?? options.get("clientSecret");
  if (!id || !secret) {
    const keys = "sasl.oauthbearer.client.credentials.client.id and .secret";
    reading.refuse(urlKey, `needs ${keys}, or clientId and clientSecret in sasl.jaas.config`);
  }
  return {
    sasl_mechanism,
    sasl_oauthbearer_token_endpoint_url: url,
    sasl_oauthbearer_client_id: id,
    sasl_oauthbearer_client_secret: secret,
    sasl_oauthbearer_scope: scope ?? options.get("scope"),
    ...withExtensions,
  };
}

function refuseOptions(
  reading: Reading,
  options: JaasEntry["options"],
  known: readonly string[],
  remedy?: string,
): void {
  for (const name of options.keys()) {
    if (known.includes(name)) continue;
    const then = remedy === undefined ? "" : `; ${remedy}`;
    reading.refuse("sasl.jaas.config", `option ${name} is not supported${then}`);
  }
}
