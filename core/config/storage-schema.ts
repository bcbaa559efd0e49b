/** The `storage` section: its part of the one schema (`schema.ts`). */
import { z } from "zod";
import { type AwsService, awsCredentials, awsPlace } from "#core/config/aws-keys.ts";
import { checkAzure, checkFilesystem, checkS3 } from "#core/config/checks.ts";
import {
  azureAccountPattern,
  azureContainerPattern,
  gcsBucketPattern,
} from "#core/storage/location.ts";

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

function prefixIn(place: "bucket" | "container") {
  return z
    .string()
    .refine((prefix) => !prefix.split("/").some((part) => part === "." || part === ".."), {
      error: "must not hold the parts . or ..",
    })
    .transform((prefix) => prefix.replace(/^\/+|\/+$/g, ""))
    .prefault("")
    .meta({
      description: `Folder inside the ${place}, with slashes between its parts.`,
      example: "production/kafka",
    });
}

/** Of a service that is not the provider's own. */
function endpointOf(description: string, example: string) {
  return z
    .url({ protocol: /^https?$/, error: "must be a URL that begins with http:// or https://" })
    .refine((url) => !/^https?:\/\/[^/]*@|\?/.test(url), {
      error: "must not hold credentials or parameters",
    })
    .optional()
    .meta({ description, example });
}

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
    prefix: prefixIn("bucket"),
    ...awsPlace(s3),
    encryption: z.enum(["sse-s3", "sse-kms"]).optional().meta({
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

function azureSecret(description: string, variable: string) {
  return z
    .string()
    .min(1)
    .optional()
    .meta({
      description: `${description} Else ${variable}.`,
      example: `\${${variable}}`,
    });
}

const azureStorage = z
  .strictObject({
    backend: z.literal("azure").meta({ description: "A container of Azure Blob Storage." }),
    container: z
      .string()
      .regex(azureContainerPattern, "must be a container name: 3 to 63 of a-z 0-9 -, no -- in it")
      .meta({ description: "Name of the container. It must exist.", example: "kafka-backups" }),
    prefix: prefixIn("container"),
    account: z
      .string()
      .regex(azureAccountPattern, "must be a storage account: 3 to 24 of a-z 0-9")
      .optional()
      .meta({
        description:
          "The storage account. Else AZURE_STORAGE_ACCOUNT. Not needed with a connection string.",
        example: "mycompanybackups",
      }),
    endpoint: endpointOf(
      "URL of the blob service, where it is not the account's in Azure's public cloud.",
      "https://mycompanybackups.blob.core.chinacloudapi.cn",
    ),
    account_key: azureSecret("Key of the account.", "AZURE_STORAGE_KEY"),
    sas_token: azureSecret(
      "Shared access signature for the container, as it stands in a URL.",
      "AZURE_STORAGE_SAS_TOKEN",
    ),
    connection_string: azureSecret(
      "Connection string of the account. Without one, a key or a signature: what Azure's identity library finds (environment, workload or managed identity, az login).",
      "AZURE_STORAGE_CONNECTION_STRING",
    ),
  })
  .superRefine(checkAzure);

const gcsStorage = z.strictObject({
  backend: z.literal("gcs").meta({
    description:
      "A bucket of Google Cloud Storage. Credentials are those that Google's libraries find: GOOGLE_APPLICATION_CREDENTIALS, gcloud's login, a workload's or a machine's service account.",
  }),
  bucket: z
    .string()
    .regex(gcsBucketPattern, "must be a bucket name: 3 to 222 of a-z 0-9 . - _")
    .meta({ description: "Name of the bucket. It must exist.", example: "kafka-backups" }),
  prefix: prefixIn("bucket"),
  endpoint: endpointOf(
    "URL of the service, where it is not Google's own. Else STORAGE_EMULATOR_HOST.",
    "http://127.0.0.1:4443",
  ),
  authentication: z.enum(["default", "none"]).optional().meta({
    description:
      "`none` for an emulator that wants no credentials, as STORAGE_EMULATOR_HOST implies; else `default`.",
    example: "default",
  }),
});

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
  azureStorage,
  gcsStorage,
  memoryStorage,
]);
