/** Services of the AWS emulator that no client of ours is installed for. */
import type { AwsEndpoint } from "#local/aws-stage.ts";

export interface EmulatorCall {
  /** POST unless given. */
  readonly method?: "GET" | "POST" | "DELETE";
  readonly path?: string;
  /** `X-Amz-Target`, of services that speak JSON. */
  readonly target?: string;
  readonly body?: object;
}

/**
 * The emulator finds the service by the credential's scope, and checks no signature. Answers in XML
 * are texts.
 */
export async function emulatorCall(
  { endpoint, region, accessKeyId }: AwsEndpoint,
  service: string,
  { method = "POST", path = "/", target, body }: EmulatorCall,
): Promise<unknown> {
  const scope = `${accessKeyId}/20260101/${region}/${service}/aws4_request`;
  const response = await fetch(`${endpoint}${path}`, {
    method,
    headers: {
      Authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
      ...(target !== undefined && { "X-Amz-Target": target }),
      ...(body !== undefined && { "Content-Type": "application/x-amz-json-1.1" }),
    },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${service} ${target ?? path}: ${response.status} ${text}`);
  return text.startsWith("<") ? text : JSON.parse(text || "null");
}
