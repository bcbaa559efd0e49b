// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/**
 * The one schema of what a user can ask for. Types are inferred from it; `docs/config.md`, the
 * JSON Schema for editors and the files of `config init` are generated from it. A key exists only
 * when it does something. Every key carries a description and, where no default says how a value
 * looks, an example.
 */
import { z } from "zod";
import { catalogConfig } from "#core/config/catalog-schema.ts";
import {
  checkBackupSettings,
  checkRestoreSections,
  checkRestoreSettings,
  levelsOf,
} from "#core/config/checks.ts";
import { checkConnection } from "#core/config/connection-checks.ts";
import { connectionKeys } from "#core/config/connection-schema.ts";
import { storageConfig } from "#core/config/storage-schema.ts";
import {
  backupIdRule,
  byteSize,
  groupPattern,
  offsetSourceName,
  partitionKey,
  partitionNumber,
  timeBound,
  topicName,
  topicPattern,
} from "#core/config/values.ts";
import { offsetStrategies } from "#core/offsets/contract.ts";
import { frameCodecNames } from "#core/segment/codecs.ts";

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
        "Names or globs (* ? [a-z] {a,b}) of topics to back up. A name must exist, a glob must match, see `allow_no_match`. Kafka's internal topics are taken by name only.",
      example: ["orders-*", "payments"],
    }),
  exclude,
  allow_no_match: z.boolean().default(false).meta({
    description:
      "Whether a glob of `include` may match nothing, as topics that may not be seen look too; a name must exist all the same. A run that then takes no topic at all is told so, and ends well: what earlier runs backed up stays as it is.",
  }),
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

/** Of a restore file, which reads it for `backup_first` and for what groups have committed. */
const restoreSource = z
  .strictObject({
    ...connectionKeys,
    topics: sourceTopics
      .optional()
      .meta({ description: "Which topics to back up before the restore." }),
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

/** From what a checkpoint's own requests take up to what no network has. */
const byteRate = byteSize(2 ** 10, 2 ** 40);

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
    max_bytes_per_second: byteRate.optional().meta({
      description:
        "At most so many bytes of record batches a second are read from Kafka, all partitions of the run together, counted as they cross the network. A number, or a string with KiB, MiB or GiB. No limit unless said. The workers of a state machine share it equally.",
      example: "50MiB",
    }),
    include_offset_headers: z.boolean().default(false).meta({
      description:
        "Whether restores of this backup add offset headers unless they say themselves: the default of `restore.include_offset_headers`, stored in the manifest. What is backed up is the same.",
    }),
  })
  .superRefine(checkBackupSettings);

const lineageNumber = z.int().min(1);
const lineageByPartition = z.record(partitionKey, lineageNumber);

/** What becomes of consumer groups. */
const groupKeys = {
  reset_consumer_offsets: z.boolean().default(false).meta({
    description:
      "Whether `restore` then sets the committed offsets of consumer groups to where the groups stood, in terms of the restored records. Needs `consumer_groups` or `auto_consumer_groups`. `three-phase-restore` always does.",
    example: true,
  }),
  consumer_groups: z
    .array(groupPattern)
    .min(1)
    .optional()
    .meta({
      description:
        "Names or globs of the consumer groups to reset. They must have no members meanwhile.",
      example: ["payments-processor", "orders-*"],
    }),
  auto_consumer_groups: z.boolean().default(false).meta({
    description: "Whether to reset all groups that have positions in the restored partitions.",
  }),
  consumer_group_strategy: z.enum(offsetStrategies).default("offset-map").meta({
    description:
      "How a position is translated. `offset-map`: exactly, by where the restore put each record; `header-based`: by `x-original-offset` headers in the target; `timestamp-based`: by the time of the record; `cluster-scan`: recommendations from what groups have committed in the target, `manual`: the mapping alone, both commit nothing; `skip`: groups are left alone.",
  }),
  offset_source: offsetSourceName.optional().meta({
    description:
      "Which position of a group is translated. `at-window-end`: the newest one stored at or before `time_window_end`, so that what was read after it is read again (unless said, where there is an end); `latest`: the newest one stored (unless said, where there is none); `current`: what is committed now, at `source` if there is one, else at `target`; `snapshot:ID`: that of a snapshot.",
    example: "latest",
  }),
  include_offset_headers: z.boolean().optional().meta({
    description:
      "Whether to add the headers `x-original-offset` and `x-original-timestamp` to restored records. Every batch is then encoded anew, which costs time. Unless said: as the backup was told (`backup.include_offset_headers`).",
    example: false,
  }),
  backup_first: z.boolean().default(false).meta({
    description:
      "Whether to back up `source` into this backup before the restore, so that nothing of what is there now is lost. Needs `source` with `topics`.",
    example: true,
  }),
} as const;

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
    max_concurrent_partitions: z.int().min(1).max(256).default(4).meta({
      description:
        "Partitions that are written, or read back, at the same time. Memory use grows with it.",
    }),
    checkpoint_interval_secs: z.int().min(1).max(3600).default(5).meta({
      description:
        "At most this many seconds between durable checkpoints while data flows. After a crash so much of the target is looked at again.",
    }),
    max_bytes_per_second: byteRate.optional().meta({
      description:
        "At most so many bytes of record batches a second are sent to Kafka, and read back by the verification, all partitions of the run together, counted as they cross the network. A number, or a string with KiB, MiB or GiB. No limit unless said. The workers of a state machine share it equally.",
      example: "50MiB",
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
    ...groupKeys,
  })
  .superRefine(checkRestoreSettings)
  .prefault({});

const backupId = backupIdRule.meta({
  description:
    "Names the backup: a folder of this name in the storage. Runs with the same id continue it. It belongs to one cluster.",
  example: "production-orders",
});

const storage = storageConfig.meta({ description: "Where the backup is kept." });

const catalog = catalogConfig.optional().meta({
  description:
    "A DynamoDB table beside the storage, where one is wanted: it makes lists quick and shows how far a run is. The storage alone always has everything.",
});

export const backupConfig = z.strictObject({
  mode: z.literal("backup").meta({ description: "What the file is for: a backup." }),
  backup_id: backupId,
  source: source.meta({ description: "The cluster to read, and which of its topics." }),
  storage,
  catalog,
  backup: backupSettings.prefault({}).meta({ description: "How to write the backup." }),
});

export const restoreConfig = z
  .strictObject({
    mode: z.literal("restore").meta({ description: "What the file is for: a restore." }),
    backup_id: backupId.meta({
      description: "The backup to restore from.",
      example: "production-orders",
    }),
    target: target.meta({ description: "The cluster to write to, and which topics." }),
    storage,
    catalog,
    restore: restoreSettings.meta({ description: "What to restore, and how." }),
    source: restoreSource.optional().meta({
      description:
        "The cluster that the backup is of, for `backup_first` and `offset_source: current`.",
    }),
    backup: backupSettings
      .optional()
      .meta({ description: "How to write the backup that comes first, with `backup_first`." }),
  })
  .superRefine(checkRestoreSections);

export const configSchema = z.discriminatedUnion("mode", [backupConfig, restoreConfig]);

export type BackupConfig = z.output<typeof backupConfig>;
export type RestoreConfig = z.output<typeof restoreConfig>;
export type Config = z.output<typeof configSchema>;
export type ConnectionConfig = Omit<BackupConfig["source"], "topics">;

/** The backup that a restore file asks for before the restore, or undefined without one. */
export function backupFirstOf(config: RestoreConfig): BackupConfig | undefined {
  const { backup_id, storage, catalog, source, backup } = config;
  if (!config.restore.backup_first || source?.topics === undefined) return undefined;
  const { topics, ...connection } = source;
  return {
    mode: "backup",
    backup_id,
    source: { ...connection, topics },
    storage,
    ...(catalog !== undefined && { catalog }),
    backup: backup ?? backupSettings.parse({}),
  };
}
