/** The `storage` section: its part of the one schema (`schema.ts`). */
import { z } from "zod";
import { type AwsService, awsCredentials, awsPlace } from "#core/config/aws-keys.ts";
import { checkFilesystem, checkS3 } from "#core/config/checks.ts";

const filesystemStorage = z
  .strictObject({
    backend: z.literal("filesystem").meta({ description: "A folder." }),
    path: z.string().min(1).optional().meta({
      description:
        "The folder that holds the backups. A relative path starts at the working directory.",
      example: "/var/lib/kafka-backup",
    }),
    base_path: z.string().min(1).optional().meta({ description: "Another name for `path`." }),
  })
  .superRefine(checkFilesystem)
  .transform(({ backend, path, base_path }) => ({ backend, path: path ?? base_path ?? "" }));

const s3: AwsService = {
  name: "S3",
  holds: "bucket",
  exampleEndpoint: "https://s3.example.com",
};

const s3Storage = z
  .strictObject({
    backend: z
      .literal("s3")
      .meta({ description: "A bucket of S3 or of what speaks its protocol." }),
    bucket: z
      .string()
      .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, "must be a bucket name: 3 to 63 of a-z 0-9 . -")
      .meta({ description: "Name of the bucket. It must exist.", example: "kafka-backups" }),
    prefix: z
      .string()
      .refine((prefix) => !prefix.split("/").some((part) => part === "." || part === ".."), {
        error: "must not hold the parts . or ..",
      })
      .transform((prefix) => prefix.replace(/^\/+|\/+$/g, ""))
      .prefault("")
      .meta({
        description: "Folder inside the bucket, with slashes between its parts.",
        example: "production/kafka",
      }),
    ...awsPlace(s3),
    encryption: z
      .enum(["sse-s3", "sse-kms"])
      .optional()
      .meta({
        description:
          "Encryption at rest that is asked for with each object: by keys of S3 (`sse-s3`), or by a key of KMS (`sse-kms`) with a bucket key. Unless said: the bucket's own default.",
        example: "sse-kms",
      }),
    kms_key_id: z.string().min(1).max(2048).optional().meta({
      description:
        "Id, ARN or alias of the KMS key for `sse-kms`. Unless said: the key of the account for S3 (aws/s3). Writing needs kms:GenerateDataKey, reading kms:Decrypt.",
      example: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    }),
    path_style: z.boolean().optional().meta({
      description:
        "Whether the bucket stands in the path of the URL and not in its host name. Unless said: true with an endpoint, else false.",
      example: true,
    }),
    ...awsCredentials(s3),
  })
  .superRefine(checkS3);

const memoryStorage = z.strictObject({
  backend: z
    .literal("memory")
    .meta({ description: "The memory of this process, gone when it ends. For tests." }),
  name: z
    .string()
    .min(1)
    .default("default")
    .meta({ description: "Users of one name within a process share what is stored." }),
});

export const storageConfig = z.discriminatedUnion("backend", [
  filesystemStorage,
  s3Storage,
  memoryStorage,
]);
