/** What one restore may say in place of the configuration that it is started with. */
import { z } from "zod";
import { checkRestoreSettings } from "#core/config/checks.ts";
import { type RestoreConfig, restoreConfig } from "#core/config/schema.ts";
import { backupIdRule, topicPattern } from "#core/config/values.ts";
import { BackupError } from "#core/errors.ts";

const configured = restoreConfig.shape.restore.unwrap().shape;

/** Named as in a configuration's `restore` section. */
export const restoreChoices = {
  time_window_start: configured.time_window_start.unwrap().exactOptional(),
  time_window_end: configured.time_window_end.unwrap().exactOptional(),
  topic_mapping: configured.topic_mapping.unwrap().exactOptional(),
  partition_mapping: configured.partition_mapping.unwrap().exactOptional(),
  lineage: configured.lineage.unwrap().exactOptional(),
  create_topics: configured.create_topics.unwrap().exactOptional(),
  allow_non_empty: configured.allow_non_empty.unwrap().exactOptional(),
  include_offset_headers: configured.include_offset_headers.unwrap().exactOptional(),
  dry_run: configured.dry_run.unwrap().exactOptional(),
};

/** The same of what becomes of consumer groups. */
export const groupChoices = {
  consumer_groups: configured.consumer_groups.unwrap().exactOptional(),
  auto_consumer_groups: configured.auto_consumer_groups.unwrap().exactOptional(),
  consumer_group_strategy: configured.consumer_group_strategy.unwrap().exactOptional(),
  offset_source: configured.offset_source.unwrap().exactOptional(),
  backup_first: configured.backup_first.unwrap().exactOptional(),
};

/** Which backup and which of its topics, by their names at the source. */
export const restoreSubject = {
  backup_id: backupIdRule.exactOptional(),
  topics: z
    .strictObject({
      include: z.array(topicPattern).min(1).default(["*"]),
      exclude: z.array(topicPattern).default([]),
    })
    .exactOptional(),
};

const wanted = z.object({ ...restoreSubject, ...restoreChoices, ...groupChoices });
export type WantedRestore = z.output<typeof wanted>;

/** The configuration with what is wanted in its place. Throws InvalidRequestError. */
export function configuredWith<Config extends RestoreConfig>(
  config: Config,
  { backup_id = config.backup_id, topics = config.target.topics, ...choices }: WantedRestore,
): Config {
  const restore = { ...config.restore, ...choices };
  const checked = z
    .custom<typeof restore>()
    .superRefine((settings, context) => checkRestoreSettings(settings, context))
    .safeParse(restore);
  if (!checked.success) {
    const problems = checked.error.issues.map(
      ({ path, message }) => `${path.join(".")}: ${message}`,
    );
    throw new BackupError("InvalidRequestError", problems.join("; "));
  }
  return { ...config, backup_id, target: { ...config.target, topics }, restore };
}
