// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/** The `storage` section: its part of the one schema (`schema.ts`). */
import { z } from "zod";
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
    region: z.string().min(1).optional().meta({
      description: "Region of the bucket. Else AWS_REGION or AWS_DEFAULT_REGION.",
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
          "URL of an S3 that is not AWS's own. Else AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL.",
        example: "https://s3.example.com",
      }),
    path_style: z.boolean().optional().meta({
      description:
        "Whether the bucket stands in the path of the URL and not in its host name. Unless said: true with an endpoint, else false.",
      example: true,
    }),
    access_key_id: z.string().min(1).optional().meta({
      description:
        "Access key. Without it: AWS_ACCESS_KEY_ID, then what the AWS SDK finds (profile, container, instance role).",
      example: "${S3_ACCESS_KEY_ID}",
    }),
    secret_access_key: z.string().min(1).optional().meta({
      description: "The access key's secret. Else AWS_SECRET_ACCESS_KEY.",
      example: "${S3_SECRET_ACCESS_KEY}",
    }),
    session_token: z.string().min(1).optional().meta({
      description: "Token of temporary credentials. Else AWS_SESSION_TOKEN.",
      example: "${S3_SESSION_TOKEN}",
    }),
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
