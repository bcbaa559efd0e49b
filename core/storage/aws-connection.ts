/** How a service of AWS, or what speaks its protocol, is reached. */
export interface AwsConnection {
  /** `us-east-1` where there is an endpoint and nothing said; else the AWS SDK's own search. */
  readonly region?: string | undefined;
  /** URL of a service that is not AWS's own. */
  readonly endpoint?: string | undefined;
  /** Without keys: the AWS SDK's own search (environment, profile, container, instance role). */
  readonly access_key_id?: string | undefined;
  readonly secret_access_key?: string | undefined;
  readonly session_token?: string | undefined;
}

/** The same in the words of the AWS SDK's clients; what is open stays absent. */
export function awsClientConfig(connection: AwsConnection) {
  const { endpoint, access_key_id, secret_access_key, session_token } = connection;
  const region = connection.region ?? (endpoint === undefined ? undefined : "us-east-1");
  return {
    ...(region !== undefined && { region }),
    ...(endpoint !== undefined && { endpoint }),
    ...(access_key_id !== undefined &&
      secret_access_key !== undefined && {
        credentials: {
          accessKeyId: access_key_id,
          secretAccessKey: secret_access_key,
          ...(session_token !== undefined && { sessionToken: session_token }),
        },
      }),
  };
}

/**
 * How connections are kept for a service whose requests give up when nothing moved for
 * `silentMsMax`. Those that wait for a request are closed after half of that: where a gateway on
 * the way has forgotten all of them, the first attempt alone finds it out, and the second one, by
 * then, gets a new connection.
 */
export function keptConnections(silentMsMax: number, connectionsMax: number) {
  return { keepAlive: true, maxSockets: connectionsMax, timeout: silentMsMax / 2 };
}

/**
 * Whether what the AWS SDK threw comes of the way to the service: it bears Node's code then. Node's
 * own argument errors have codes too (ERR_...); they are mistakes of this program.
 */
export function isOfNetwork(error: Error): boolean {
  const { code } = error as { readonly code?: unknown };
  if (typeof code !== "string") return false;
  return !(code.startsWith("ERR_") && error instanceof TypeError);
}
