/**
 * The login of Amazon MSK with IAM: over SASL/OAUTHBEARER, with a token that is a presigned request
 * to `kafka-cluster:Connect`, base64url without padding.
 * https://github.com/aws/aws-msk-iam-sasl-signer-js is AWS's own way to one. Its tokens
 * are held against these in the tests. It is not used: it brings a second version of the signer and 75 packages, and
 * all it does beside signing stands below.
 */
import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { Sha256 } from "@smithy/core/checksum";
import { SignatureV4 } from "@smithy/signature-v4";
import { BackupError } from "#core/errors.ts";
import type { Clock } from "#core/runtime.ts";
import { softwareName } from "#core/software.ts";

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** When they end; a token cannot outlive them. */
  readonly expiration?: Date;
}

/** A token is used once, at a login; MSK accepts up to 15 minutes. */
const lifetimeSeconds = 900;

/**
 * Makes a token for each login, from the credentials that the AWS SDK finds: of the function's
 * role, of variables, of a profile. Nothing is asked over the network but these.
 */
export function mskIamTokens(region: string, clock: Clock): () => Promise<string> {
  const find = defaultProvider({ clientConfig: { region } });
  return async () => mskIamToken(region, await credentialsFrom(find), clock.nowMs());
}

async function credentialsFrom(find: () => Promise<Credentials>): Promise<Credentials> {
  try {
    return await find();
  } catch (cause) {
    const name = cause instanceof Error ? cause.name : String(cause);
    throw new BackupError("AccessDeniedError", `no AWS credentials for AWS_MSK_IAM: ${name}`, {
      cause,
      hint: "Give the process a role, a profile, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    });
  }
}

/** `nowMs`: Unix milliseconds. */
export async function mskIamToken(
  region: string,
  credentials: Credentials,
  nowMs: number,
): Promise<string> {
  const hostname = `kafka.${region}.amazonaws.com`;
  const signer = new SignatureV4({
    service: "kafka-cluster",
    region,
    credentials,
    sha256: Sha256,
    applyChecksum: false,
  });
  const { expiration } = credentials;
  const leftSeconds =
    expiration === undefined
      ? lifetimeSeconds
      : Math.max(1, Math.floor((expiration.getTime() - nowMs) / 1_000));
  const signed = await signer.presign(
    {
      method: "GET",
      protocol: "https:",
      hostname,
      path: "/",
      headers: { host: hostname },
      query: { Action: "kafka-cluster:Connect" },
    },
    { signingDate: new Date(nowMs), expiresIn: Math.min(leftSeconds, lifetimeSeconds) },
  );
  // For MSK's own records; no part of what is signed.
  const query = Object.entries({ ...signed.query, "User-Agent": softwareName });
  const text = query.map(([name, value]) => `${encoded(name)}=${encoded(String(value))}`).sort();
  return Buffer.from(`https://${hostname}/?${text.join("&")}`).toString("base64url");
}

/** As signatures want it (RFC 3986), where `encodeURIComponent` leaves some signs as they are. */
function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
