/** What has to be true between the keys of a connection. Messages never repeat a value. */
import { type Context, refuse, refuseHalf } from "#core/config/checks.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { regionOfBrokers } from "#core/kafka/msk-region.ts";

/** A section says where certificates and keys lie, and not what they hold. */
interface ConnectionKeys
  extends Omit<ClusterConfig, "client_id" | "ssl_ca" | "ssl_certificate" | "ssl_key"> {
  readonly security_protocol: NonNullable<ClusterConfig["security_protocol"]>;
  readonly ssl_ca_location?: string | undefined;
  readonly ssl_certificate_location?: string | undefined;
  readonly ssl_key_location?: string | undefined;
}

/** Of an endpoint: what a file needs none of. */
const endpointKeys = [
  "sasl_oauthbearer_token_endpoint_url",
  "sasl_oauthbearer_client_id",
  "sasl_oauthbearer_client_secret",
  "sasl_oauthbearer_scope",
  "sasl_oauthbearer_audience",
] as const;
const endpointKeysNeeded = endpointKeys.slice(0, 3);

/** Which keys each kind of login reads. */
const keysOfLogins: Readonly<Record<Login, readonly (keyof ConnectionKeys)[]>> = {
  password: ["sasl_username", "sasl_password"],
  OAUTHBEARER: [...endpointKeys, "sasl_oauthbearer_token_file", "sasl_oauthbearer_extensions"],
  AWS_MSK_IAM: ["aws_region"],
};
type Login = "password" | "OAUTHBEARER" | "AWS_MSK_IAM";
const logins = Object.keys(keysOfLogins) as Login[];

/** What a mechanism takes in place of the others' keys, for messages. */
const takes = {
  OAUTHBEARER: "OAUTHBEARER, which takes tokens",
  AWS_MSK_IAM: "AWS_MSK_IAM, which takes AWS credentials",
} as const;

export function checkConnection(connection: ConnectionKeys, context: Context): void {
  if (connection.security_protocol.startsWith("SASL_")) checkSasl(connection, context);
  else refuseSasl(connection, context);
  if (!connection.security_protocol.endsWith("SSL")) refuseTls(connection, context);
  refuseHalf(context, connection, "ssl_certificate_location", "ssl_key_location");
  if (connection.ssl_key_password !== undefined && connection.ssl_key_location === undefined) {
    refuse(context, ["ssl_key_location"], "is required with ssl_key_password");
  }
}

const withoutSasl = "does nothing without security_protocol SASL_PLAINTEXT or SASL_SSL";

function refuseSasl(connection: ConnectionKeys, context: Context): void {
  if (connection.sasl_mechanism !== undefined) refuse(context, ["sasl_mechanism"], withoutSasl);
  for (const login of logins) {
    for (const key of keysOfLogins[login].filter((key) => connection[key] !== undefined)) {
      refuse(context, [key], key === "aws_region" ? withoutMechanism(login) : withoutSasl);
    }
  }
}

function withoutMechanism(login: Login): string {
  return `does nothing without sasl_mechanism ${login}`;
}

function checkSasl(connection: ConnectionKeys, context: Context): void {
  const { security_protocol, sasl_mechanism } = connection;
  if (sasl_mechanism === undefined) {
    refuse(context, ["sasl_mechanism"], `is required with security_protocol ${security_protocol}`);
  }
  const chosen = logins.find((login) => login === sasl_mechanism) ?? "password";
  for (const login of logins) {
    for (const key of keysOfLogins[login]) {
      const isGiven = connection[key] !== undefined;
      if (login === chosen && login === "password" && !isGiven) {
        refuse(context, [key], `is required with security_protocol ${security_protocol}`);
      } else if (login !== chosen && isGiven) {
        const isOther = login === "password" && chosen !== "password";
        const why = isOther ? `does nothing with ${takes[chosen]}` : withoutMechanism(login);
        refuse(context, [key], why);
      }
    }
  }
  if (sasl_mechanism === "OAUTHBEARER") checkTokens(connection, context);
  if (sasl_mechanism === "AWS_MSK_IAM") checkIam(connection, context);
}

function checkTokens(connection: ConnectionKeys, context: Context): void {
  if (connection.sasl_oauthbearer_token_file !== undefined) {
    for (const key of endpointKeys.filter((key) => connection[key] !== undefined)) {
      refuse(context, [key], "does nothing with sasl_oauthbearer_token_file");
    }
    return;
  }
  for (const key of endpointKeysNeeded.filter((key) => connection[key] === undefined)) {
    refuse(context, [key], "is required with OAUTHBEARER, or sasl_oauthbearer_token_file");
  }
}

function checkIam(connection: ConnectionKeys, context: Context): void {
  const { bootstrap_servers, security_protocol, aws_region } = connection;
  // A token is as good as a password for its 15 minutes.
  if (security_protocol === "SASL_PLAINTEXT") {
    refuse(context, ["security_protocol"], "must be SASL_SSL with AWS_MSK_IAM");
  }
  if (aws_region === undefined && regionOfBrokers(bootstrap_servers) === undefined) {
    refuse(context, ["aws_region"], "is required with AWS_MSK_IAM: no broker's name says it");
  }
}

function refuseTls(connection: ConnectionKeys, context: Context): void {
  const keys = [
    ...(["ssl_ca_location", "ssl_certificate_location"] as const),
    ...(["ssl_key_location", "ssl_key_password"] as const),
  ];
  const given: string[] = keys.filter((key) => connection[key] !== undefined);
  if (connection.ssl_endpoint_identification_algorithm === "") {
    given.push("ssl_endpoint_identification_algorithm");
  }
  for (const key of given) {
    // An endpoint for tokens is asked over TLS also where brokers are not.
    const isOfEndpoint =
      key === "ssl_ca_location" &&
      connection.sasl_oauthbearer_token_endpoint_url?.startsWith("https:");
    if (isOfEndpoint) continue;
    refuse(context, [key], "does nothing without security_protocol SSL or SASL_SSL");
  }
}
