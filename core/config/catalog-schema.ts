// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/** The `catalog` section: a table beside the bucket. */
import { z } from "zod";
import { checkS3 } from "#core/config/checks.ts";

export const catalogConfig = z
  .strictObject({
    table: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{3,255}$/, "must be a table name: 3 to 255 of A-Z a-z 0-9 _ . -")
      .meta({
        description: "Name of the DynamoDB table. It must exist, with the string keys pk and sk.",
        example: "kafka-backup",
      }),
    region: z.string().min(1).optional().meta({
      description: "Region of the table. Else AWS_REGION or AWS_DEFAULT_REGION.",
      example: "us-east-1",
    }),
    endpoint: z
      .url({ protocol: /^https?$/, error: "must be a URL that begins with http:// or https://" })
      .refine((url) => !/^https?:\/\/[^/]*@/.test(url), {
        error: "must not hold credentials; use access_key_id and secret_access_key",
      })
      .optional()
      .meta({
        description:
          "URL of a DynamoDB that is not AWS's own. Else AWS_ENDPOINT_URL_DYNAMODB or AWS_ENDPOINT_URL.",
        example: "http://localhost:8000",
      }),
    access_key_id: z.string().min(1).optional().meta({
      description:
        "Access key. Without it: AWS_ACCESS_KEY_ID, then what the AWS SDK finds (profile, container, instance role).",
      example: "${DYNAMODB_ACCESS_KEY_ID}",
    }),
    secret_access_key: z.string().min(1).optional().meta({
      description: "The access key's secret. Else AWS_SECRET_ACCESS_KEY.",
      example: "${DYNAMODB_SECRET_ACCESS_KEY}",
    }),
    session_token: z.string().min(1).optional().meta({
      description: "Token of temporary credentials. Else AWS_SESSION_TOKEN.",
      example: "${DYNAMODB_SESSION_TOKEN}",
    }),
  })
  .superRefine(checkS3);
