/** How to reach a cluster and log in to it. Certificates and keys are contents, not paths. */
export interface ClusterConfig {
  /** `host:port`, `[v6 address]:port`. */
  readonly bootstrap_servers: readonly string[];
  /** PLAINTEXT when not given. */
  readonly security_protocol?: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" | undefined;
  readonly sasl_mechanism?:
    | "PLAIN"
    | "SCRAM-SHA-256"
    | "SCRAM-SHA-512"
    | "OAUTHBEARER"
    | "AWS_MSK_IAM"
    | undefined;
  /** With AWS_MSK_IAM; else, or where not given, what the brokers' names say. */
  readonly aws_region?: string | undefined;
  readonly sasl_username?: string | undefined;
  readonly sasl_password?: string | undefined;
  /** With OAUTHBEARER: where tokens come from, by the client's id and secret; or a file. */
  readonly sasl_oauthbearer_token_endpoint_url?: string | undefined;
  readonly sasl_oauthbearer_client_id?: string | undefined;
  readonly sasl_oauthbearer_client_secret?: string | undefined;
  readonly sasl_oauthbearer_scope?: string | undefined;
  readonly sasl_oauthbearer_audience?: string | undefined;
  /** A path: the token in it is renewed by somebody else, so it is read at each login. */
  readonly sasl_oauthbearer_token_file?: string | undefined;
  /** Names of letters only (KIP-342). */
  readonly sasl_oauthbearer_extensions?: Readonly<Record<string, string>> | undefined;
  /** PEM; the system's authorities when not given. */
  readonly ssl_ca?: string | undefined;
  /** PEM: the client's own certificate, for mutual TLS, and what it is signed by. */
  readonly ssl_certificate?: string | undefined;
  /** PEM. */
  readonly ssl_key?: string | undefined;
  /** Of an encrypted key. */
  readonly ssl_key_password?: string | undefined;
  /** Empty: the names in the brokers' certificates are not compared with their addresses. */
  readonly ssl_endpoint_identification_algorithm?: "https" | "" | undefined;
  readonly client_id?: string | undefined;
}

export const clientIdDefault = "kafka-backup";
