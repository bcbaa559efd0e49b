// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/**
 * The one schema of what a user can ask for. Types are inferred from it; `docs/config.md`, the
 * JSON Schema for editors and the files of `config init` are generated from it. A key exists only
 * when it does something. Every key carries a description and, where no default says how a value
 * looks, an example.
 */
import { z } from "zod";
import {
  checkBackupSettings,
  checkConnection,
  checkFilesystem,
  checkRestoreSettings,
  checkS3,
  levelsOf,
} from "#core/config/checks.ts";
import {
  backupIdRule,
  bootstrapServers,
  byteSize,
  partitionKey,
  partitionNumber,
  timeBound,
  topicName,
  topicPattern,
} from "#core/config/values.ts";
import { frameCodecNames } from "#core/segment/codecs.ts";

const connectionKeys = {
  bootstrap_servers: bootstrapServers.meta({
    description:
      "Brokers to ask first, HOST:PORT: a list, or one string with commas. The others are found through them.",
    example: ["kafka-1:9092", "kafka-2:9092"],
  }),
  security_protocol: z
    .enum(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"])
    .default("PLAINTEXT")
    .meta({
      description: "How to talk to the brokers: with TLS (SSL), with a login (SASL), with both.",
      example: "SASL_SSL",
    }),
  sasl_mechanism: z.enum(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]).optional().meta({
    description: "The kind of login. Needed with SASL_PLAINTEXT and SASL_SSL.",
    example: "SCRAM-SHA-512",
  }),
  sasl_username: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "User of the login.", example: "kafka-backup" }),
  sasl_password: z.string().min(1).optional().meta({
    description: "Password of the login. Take it from a variable rather than write it here.",
    example: "${KAFKA_PASSWORD}",
  }),
  ssl_ca_location: z.string().min(1).optional().meta({
    description:
      "PEM file of the authorities that sign the brokers' certificates. Without it: those that Node trusts.",
    example: "/etc/kafka/ca.pem",
  }),
  ssl_certificate_location: z.string().min(1).optional().meta({
    description:
      "PEM file of this client's certificate, where brokers ask for one. Needs ssl_key_location.",
    example: "/etc/kafka/client.pem",
  }),
  ssl_key_location: z.string().min(1).optional().meta({
    description: "PEM file of the certificate's private key, without a passphrase.",
    example: "/etc/kafka/client-key.pem",
  }),
};

const exclude = z
  .array(topicPattern)
  .default([])
  .meta({
    description: "Names or globs of topics to leave out of those that `include` selects.",
    example: ["*-tmp"],
  });

const sourceTopics = z.strictObject({
  include: z
    .array(topicPattern)
    .min(1)
    .meta({
      description:
        "Names or globs (* ? [a-z] {a,b}) of topics to back up. A name must exist, a glob must match. Kafka's internal topics are taken by name only.",
      example: ["orders-*", "payments"],
    }),
  exclude,
});

const targetTopics = z.strictObject({
  include: z
    .array(topicPattern)
    .min(1)
    .default(["*"])
    .meta({
      description: "Names or globs of topics to restore, by the names they had at the source.",
      example: ["orders-*"],
    }),
  exclude,
});

const source = z
  .strictObject({
    ...connectionKeys,
    topics: sourceTopics.meta({ description: "Which topics to back up." }),
  })
  .superRefine(checkConnection);

const target = z
  .strictObject({
    ...connectionKeys,
    topics: targetTopics
      .prefault({})
      .meta({ description: "Which topics of the backup to restore. All of them unless said." }),
  })
  .superRefine(checkConnection);

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

const backupSettings = z
  .strictObject({
    compression: z.enum(frameCodecNames).default("zstd").meta({
      description:
        "Codec of the stored segments. Batches that producers compressed already are stored as they are, see `recompress`.",
    }),
    compression_level: z
      .int()
      .optional()
      .meta({
        description: `Level of the codec: ${levelsOf("zstd")}; ${levelsOf("gzip")}. The other codecs have none.`,
        example: 1,
      }),
    recompress: z.enum(["never", "frame"]).default("never").meta({
      description:
        "Whether batches that producers compressed already are compressed once more: `frame` costs CPU time and stores less where they are lz4 or snappy, nothing where they are gzip or zstd; `never` stores them as they are. docs/operations.md has the figures.",
    }),
    segment_max_bytes: byteSize(64 * 2 ** 10, 4 * 2 ** 30)
      .prefault("128MiB")
      .meta({
        description:
          "Bytes of record batches after which a new segment begins, 64KiB to 4GiB. A number, or a string with KiB, MiB or GiB. Memory use does not depend on it.",
      }),
    checkpoint_interval_secs: z.int().min(1).max(3600).default(5).meta({
      description:
        "At most this many seconds between durable checkpoints while data flows; segments are closed early where needed. After a crash so much work is repeated.",
    }),
    max_concurrent_partitions: z.int().min(1).max(256).default(4).meta({
      description: "Partitions that are read at the same time. Memory use grows with it.",
    }),
  })
  .superRefine(checkBackupSettings)
  .prefault({});

const lineageNumber = z.int().min(1);
const lineageByPartition = z.record(partitionKey, lineageNumber);

const restoreSettings = z
  .strictObject({
    time_window_start: timeBound.optional().meta({
      description:
        "Restore no record older than this: Unix milliseconds or an ISO 8601 time with its zone. Inclusive.",
      example: "2025-01-15T00:00:00Z",
    }),
    time_window_end: timeBound.optional().meta({
      description:
        "Restore no record newer than this: Unix milliseconds or an ISO 8601 time with its zone. Inclusive.",
      example: 1736985600000,
    }),
    topic_mapping: z
      .record(topicName, topicName)
      .default({})
      .meta({
        description:
          "Target topic by source topic. Topics that are not named here keep their name.",
        example: { orders: "orders-restored" },
      }),
    partition_mapping: z
      .record(topicName, z.record(partitionKey, partitionNumber))
      .default({})
      .meta({
        description:
          "By source topic: target partition by source partition. Partitions that are not named here keep their number. Two source partitions never go to one target partition.",
        example: { orders: { 0: 1, 1: 0 } },
      }),
    lineage: z
      .union([lineageNumber, z.record(topicName, z.union([lineageNumber, lineageByPartition]))], {
        error: "must be a lineage number, or by topic a number or numbers by partition",
      })
      .optional()
      .meta({
        description:
          "Which lineage to restore: one number, or by source topic a number or numbers by partition. A lineage is one life of a partition, from the topic's creation (or its log's truncation) to the next; `describe` lists them. The newest unless said.",
        example: { orders: 1 },
      }),
    create_topics: z.boolean().default(true).meta({
      description:
        "Whether topics that the target lacks are created, with the source's partition count and settings. If false, a missing topic is an error.",
    }),
    allow_non_empty: z.boolean().default(false).meta({
      description:
        "Whether to append to target topics that hold records already. Else they are refused.",
    }),
    dry_run: z.boolean().default(false).meta({
      description: "Whether to make all checks and show the plan, and write nothing.",
    }),
  })
  .superRefine(checkRestoreSettings)
  .prefault({});

const backupId = backupIdRule.meta({
  description:
    "Names the backup: a folder of this name in the storage. Runs with the same id continue it. It belongs to one cluster.",
  example: "production-orders",
});

const storage = storageConfig.meta({ description: "Where the backup is kept." });

export const backupConfig = z.strictObject({
  mode: z.literal("backup").meta({ description: "What the file is for: a backup." }),
  backup_id: backupId,
  source: source.meta({ description: "The cluster to read, and which of its topics." }),
  storage,
  backup: backupSettings.meta({ description: "How to write the backup." }),
});

export const restoreConfig = z.strictObject({
  mode: z.literal("restore").meta({ description: "What the file is for: a restore." }),
  backup_id: backupId.meta({
    description: "The backup to restore from.",
    example: "production-orders",
  }),
  target: target.meta({ description: "The cluster to write to, and which topics." }),
  storage,
  restore: restoreSettings.meta({ description: "What to restore, and how." }),
});

export const configSchema = z.discriminatedUnion("mode", [backupConfig, restoreConfig]);

export type BackupConfig = z.output<typeof backupConfig>;
export type RestoreConfig = z.output<typeof restoreConfig>;
export type Config = z.output<typeof configSchema>;
export type ConnectionConfig = Omit<BackupConfig["source"], "topics">;
