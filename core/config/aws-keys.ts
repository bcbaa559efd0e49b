/** Keys that the sections of AWS services have in common. */
import { z } from "zod";

/** A service in the words of its section. */
export interface AwsService {
  readonly name: "S3" | "DynamoDB";
  /** What is kept there. */
  readonly holds: "bucket" | "table";
  readonly exampleEndpoint: string;
}

export function awsPlace({ name, holds, exampleEndpoint }: AwsService) {
  const variable = `AWS_ENDPOINT_URL_${name.toUpperCase()}`;
  const article = name === "S3" ? "an" : "a";
  return {
    region: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: `Region of the ${holds}. Else AWS_REGION or AWS_DEFAULT_REGION.`,
        example: "us-east-1",
      }),
    endpoint: z
      .url({ protocol: /^https?$/, error: "must be a URL that begins with http:// or https://" })
      .refine((url) => !/^https?:\/\/[^/]*@/.test(url), {
        error: "must not hold credentials; use access_key_id and secret_access_key",
      })
      .optional()
      .meta({
        description: `URL of ${article} ${name} that is not AWS's own. Else ${variable} or AWS_ENDPOINT_URL.`,
        example: exampleEndpoint,
      }),
  };
}

export function awsCredentials({ name }: AwsService) {
  const variable = (key: string) => `\${${name.toUpperCase()}_${key}}`;
  return {
    access_key_id: z
      .string()
      .min(1)
      .optional()
      .meta({
        description:
          "Access key. Without it: AWS_ACCESS_KEY_ID, then what the AWS SDK finds (profile, container, instance role).",
        example: variable("ACCESS_KEY_ID"),
      }),
    secret_access_key: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: "The access key's secret. Else AWS_SECRET_ACCESS_KEY.",
        example: variable("SECRET_ACCESS_KEY"),
      }),
    session_token: z
      .string()
      .min(1)
      .optional()
      .meta({
        description: "Token of temporary credentials. Else AWS_SESSION_TOKEN.",
        example: variable("SESSION_TOKEN"),
      }),
  };
}
