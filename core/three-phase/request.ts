/** What a configuration for restores asks for when it also names groups. */
import { backupRequestOf } from "#core/backup/request.ts";
import { backupFirstOf, type RestoreConfig } from "#core/config/schema.ts";
import type { GroupSelection } from "#core/offsets/contract.ts";
import { restoreRequestOf } from "#core/restore/request.ts";
import type { ThreePhaseRequest } from "#core/three-phase/contract.ts";

/** Undefined where the configuration selects no groups. */
export function groupsOf({ restore }: RestoreConfig): GroupSelection | undefined {
  const { consumer_groups, auto_consumer_groups } = restore;
  if (auto_consumer_groups) return { all: true };
  return consumer_groups === undefined ? undefined : { groups: consumer_groups };
}

export function threePhaseRequestOf(
  config: RestoreConfig,
  groups: GroupSelection,
): ThreePhaseRequest {
  const backup = backupFirstOf(config);
  const { consumer_group_strategy: strategy, offset_source } = config.restore;
  return {
    restore: restoreRequestOf(config),
    groups,
    strategy,
    ...(offset_source !== undefined && { offset_source }),
    ...(backup !== undefined && { backup_first: backupRequestOf(backup) }),
  };
}
