/** How to reach a cluster and log in to it. Certificates and keys are contents, not paths. */
export interface ClusterConfig {
  /** `host:port`, `[v6 address]:port`. */
  readonly bootstrap_servers: readonly string[];
  /** PLAINTEXT when not given. */
  readonly security_protocol?: "PLAINTEXT" | "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" | undefined;
  readonly sasl_mechanism?: "PLAIN" | "SCRAM-SHA-256" | "SCRAM-SHA-512" | "AWS_MSK_IAM" | undefined;
  /** With AWS_MSK_IAM; else, or where not given, what the brokers' names say. */
  readonly aws_region?: string | undefined;
  readonly sasl_username?: string | undefined;
  readonly sasl_password?: string | undefined;
  /** PEM; the system's authorities when not given. */
  readonly ssl_ca?: string | undefined;
  /** PEM: the client's own certificate, for mutual TLS. */
  readonly ssl_certificate?: string | undefined;
  /** PEM. */
  readonly ssl_key?: string | undefined;
  readonly client_id?: string | undefined;
}

export const clientIdDefault = "kafka-backup";
