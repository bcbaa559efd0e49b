// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/** The keys by which a section of the configuration says how to reach a cluster and log in. */
import { z } from "zod";
import { bootstrapServers } from "#core/config/values.ts";

export const connectionKeys = {
  bootstrap_servers: bootstrapServers.meta({
    description:
      "Brokers to ask first, HOST:PORT: a list, or one string with commas. The others are found through them.",
    example: ["kafka-1:9092", "kafka-2:9092"],
  }),
  security_protocol: z
    .enum(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
    .default("PLAINTEXT")
    .meta({
      description: "How to talk to the brokers: with TLS (SSL), with a login (SASL), with both.",
      example: "SASL_SSL",
    }),
  sasl_mechanism: z
    .enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"])
    .optional()
    .meta({
      description:
        "The kind of login. Needed with SASL_PLAINTEXT and SASL_SSL. OAUTHBEARER takes tokens from an endpoint or a file. AWS_MSK_IAM is that of Amazon MSK with IAM, by the AWS credentials of the process.",
      example: "SCRAM-SHA-512",
    }),
  aws_region: z
    .string()
    .regex(/^[a-z]{2}[a-z0-9-]*-\d+$/, "must be a region, e.g. eu-central-1")
    .optional()
    .meta({
      description:
        "Region of the cluster, for AWS_MSK_IAM. Needed only where the brokers' names do not say it.",
      example: "eu-central-1",
    }),
  sasl_username: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "User of a login with a password.", example: "kafka-backup" }),
  sasl_password: z.string().min(1).optional().meta({
    description: "Password of the login. Take it from a variable rather than write it here.",
    example: "${KAFKA_PASSWORD}",
  }),
  sasl_oauthbearer_token_endpoint_url: z
    .url({ protocol: /^https?$/, error: "must be a URL with http or https" })
    .refine((url) => !URL.canParse(url) || new URL(url).username === "", {
      error: "must not hold credentials: give sasl_oauthbearer_client_id and _secret",
    })
    .optional()
    .meta({
      description:
        "With OAUTHBEARER: the issuer's token endpoint, asked by client credentials (RFC 6749, section 4.4). Its certificate is checked against the authorities that Node trusts and those of ssl_ca_location. Needs a client id and secret.",
      example: "https://login.example.com/oauth2/token",
      format: "uri",
    }),
  sasl_oauthbearer_client_id: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "Client id at the token endpoint.", example: "kafka-backup" }),
  sasl_oauthbearer_client_secret: z.string().min(1).optional().meta({
    description:
      "Client secret at the token endpoint. Take it from a variable rather than write it here.",
    example: "${KAFKA_CLIENT_SECRET}",
  }),
  sasl_oauthbearer_scope: z.string().min(1).optional().meta({
    description: "Scopes to ask the token endpoint for, with spaces between them.",
    example: "kafka",
  }),
  sasl_oauthbearer_audience: z.string().min(1).optional().meta({
    description: "Audience to ask the token endpoint for, where it wants to be told one.",
    example: "https://kafka.example.com",
  }),
  sasl_oauthbearer_token_file: z.string().min(1).optional().meta({
    description:
      "With OAUTHBEARER, in place of an endpoint: a file with one token, read at each login, so that what renews it (Kubernetes does for service accounts) is followed.",
    example: "/var/run/secrets/kafka/token",
  }),
  sasl_oauthbearer_extensions: z
    .record(
      z.string().regex(/^(?!auth$)[A-Za-z]+$/, "must be a name of letters, and not auth"),
      z.string().regex(/^[\x21-\x7e][\x20-\x7e]*$/, "must be printable ASCII"),
    )
    .optional()
    .meta({
      description:
        "What the brokers want to be told beside the token, by name: Confluent Cloud wants logicalCluster and identityPoolId.",
      example: { logicalCluster: "lkc-abc123" },
    }),
  ssl_ca_location: z.string().min(1).optional().meta({
    description:
      "PEM file of the authorities that sign the brokers' certificates. Without it: those that Node trusts.",
    example: "/etc/kafka/ca.pem",
  }),
  ssl_certificate_location: z.string().min(1).optional().meta({
    description:
      "PEM file of this client's certificate, where brokers ask for one. Needs ssl_key_location.",
    example: "/etc/kafka/client.pem",
  }),
  ssl_key_location: z.string().min(1).optional().meta({
    description: "PEM file of the certificate's private key.",
    example: "/etc/kafka/client-key.pem",
  }),
  ssl_key_password: z.string().min(1).optional().meta({
    description:
      "Passphrase of the private key, where it is encrypted. Take it from a variable rather than write it here.",
    example: "${KAFKA_KEY_PASSWORD}",
  }),
  ssl_endpoint_identification_algorithm: z.enum(["https", ""]).optional().meta({
    description:
      "Empty: names in the brokers' certificates are not compared with the addresses that they are reached under, as they are unless said. Whoever has a certificate of the same authority can then pass for a broker.",
    example: "https",
  }),
} as const;
