/** The `catalog` section: a table beside the bucket. */
import { z } from "zod";
import { type AwsService, awsCredentials, awsPlace } from "#core/config/aws-keys.ts";
import { checkS3 } from "#core/config/checks.ts";

const dynamoDb: AwsService = {
  name: "DynamoDB",
  holds: "table",
  exampleEndpoint: "http://localhost:8000",
};

export const catalogConfig = z
  .strictObject({
    table: z
      .string()
      .regex(/^[A-Za-z0-9_.-]{3,255}$/, "must be a table name: 3 to 255 of A-Z a-z 0-9 _ . -")
      .meta({
        description: "Name of the DynamoDB table. It must exist, with the string keys pk and sk.",
        example: "kafka-backup",
      }),
    ...awsPlace(dynamoDb),
    ...awsCredentials(dynamoDb),
  })
  .superRefine(checkS3);
