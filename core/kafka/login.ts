/** The SASL login that a configuration asks for, as kafkajs takes it and as messages name it. */
import type { Mechanism, SASLOptions } from "kafkajs";
import { BackupError } from "#core/errors.ts";
import type { LoginIdentity } from "#core/kafka/broker-connection.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { regionOfBrokers } from "#core/kafka/msk-region.ts";
import { oauthTokens } from "#core/kafka/oauth-tokens.ts";
import { bearerMechanism } from "#core/kafka/sasl-bearer.ts";
import type { Clock } from "#core/runtime.ts";

export interface LoginDeps {
  readonly clock: Clock;
  /** What makes the tokens of AWS_MSK_IAM; AWS's credentials when not given. */
  readonly iamTokens?: () => Promise<string>;
}

const mechanisms = {
  PLAIN: "plain",
  "SCRAM-SHA-256": "scram-sha-256",
  "SCRAM-SHA-512": "scram-sha-512",
} as const;

/** Undefined without a login. Throws InvalidRequestError for one that lacks something. */
export async function saslOf(
  config: ClusterConfig,
  deps: LoginDeps,
): Promise<SASLOptions | Mechanism | undefined> {
  if (!withSasl(config)) return undefined;
  const { sasl_mechanism, sasl_username, sasl_password } = config;
  if (sasl_mechanism === "AWS_MSK_IAM") {
    const tokens = deps.iamTokens ?? (await iamTokensFor(config, deps.clock));
    return bearerMechanism(tokens);
  }
  if (sasl_mechanism === "OAUTHBEARER") {
    return bearerMechanism(oauthTokens(config, deps.clock), config.sasl_oauthbearer_extensions);
  }
  if (sasl_mechanism === undefined || sasl_username === undefined || sasl_password === undefined) {
    throw new BackupError(
      "InvalidRequestError",
      `${config.security_protocol} needs sasl_mechanism, sasl_username and sasl_password`,
    );
  }
  const mechanism = mechanisms[sasl_mechanism];
  const login: SASLOptions = { mechanism, username: sasl_username, password: sasl_password };
  return login;
}

async function iamTokensFor(config: ClusterConfig, clock: Clock): Promise<() => Promise<string>> {
  const region = config.aws_region ?? regionOfBrokers(config.bootstrap_servers);
  if (region === undefined) {
    throw new BackupError("InvalidRequestError", "AWS_MSK_IAM needs aws_region");
  }
  const { mskIamTokens } = await import("#core/kafka/msk-iam-token.ts");
  return mskIamTokens(region, clock);
}

export function loginOf(config: ClusterConfig): Pick<LoginIdentity, "login" | "loginHint"> {
  if (!withSasl(config)) return { login: undefined };
  const { sasl_mechanism, sasl_username } = config;
  if (sasl_mechanism === "AWS_MSK_IAM") {
    return {
      login: "SASL AWS_MSK_IAM login",
      loginHint: "Let the role kafka-cluster:Connect to the cluster, and check aws_region.",
    };
  }
  if (sasl_mechanism === "OAUTHBEARER") {
    const { sasl_oauthbearer_client_id: client, sasl_oauthbearer_token_file: file } = config;
    const whose = client === undefined ? `the token in ${file}` : `client "${client}"`;
    return {
      login: `SASL OAUTHBEARER login with ${whose}`,
      loginHint:
        "Compare the token's issuer, audience, scope and lifetime with what the listener expects " +
        "(sasl.oauthbearer.expected.*).",
    };
  }
  return {
    login: `SASL ${sasl_mechanism} login of user "${sasl_username}"`,
    loginHint: "Check sasl_mechanism, sasl_username and sasl_password.",
  };
}

function withSasl(config: ClusterConfig): boolean {
  return config.security_protocol?.startsWith("SASL") ?? false;
}
