/** What a person starts a three-phase restore with that many processes do. */
import { z } from "zod";
import { backupRequestOf } from "#core/backup/request.ts";
import type { LeaseHolder } from "#core/catalog/catalog.ts";
import type { DeployedConfig, DeployedRestoreConfig } from "#core/config/deployment.ts";
import {
  configuredWith,
  groupChoices,
  restoreChoices,
  restoreSubject,
} from "#core/config/restore-input.ts";
import { BackupError } from "#core/errors.ts";
import type { ThreePhaseRequest } from "#core/three-phase/contract.ts";
import { groupsOf, threePhaseRequestOf } from "#core/three-phase/request.ts";

const daySecs = 86_400;
/** With a week for a backup and a week for a restore it stays within the machine's 30 days. */
const approvalSecsMax = 14 * daySecs;

/** Where it differs from the deployment's configuration for restores. */
export const threePhaseInput = z.strictObject({
  ...restoreSubject,
  ...restoreChoices,
  ...groupChoices,
  /** Another one, where the same was done before. */
  new: z.boolean().default(false),
  /** Only continue: where nothing was begun, begin nothing. */
  resume: z.boolean().default(false),
  /** Whether somebody is to approve the plan before offsets are set. */
  approval: z.boolean().default(false),
  /** How long the answer is waited for. */
  approval_timeout_secs: z.int().min(60).max(approvalSecsMax).default(daySecs),
  /** Of a restore's and a backup's workers. */
  turn_ms: z.int().min(1).exactOptional(),
});
export type ThreePhaseInput = z.output<typeof threePhaseInput>;

export interface AskedThreePhase {
  readonly request: ThreePhaseRequest;
  readonly isDryRun: boolean;
}

/**
 * `backup`: the deployment's configuration for backups, for `backup_first`. Throws
 * InvalidRequestError that names the field.
 */
export function askedThreePhase(
  input: ThreePhaseInput,
  restore: DeployedRestoreConfig,
  backup: DeployedConfig,
): AskedThreePhase {
  if (input.new && input.resume)
    throw invalid("resume: continues what was begun: give new or this");
  const config = configuredWith(withoutGroups(restore, input), wantedOf(input));
  const groups = groupsOf(config);
  if (groups === undefined) {
    throw invalid("consumer_groups: is required, or auto_consumer_groups: true");
  }
  const { backup_id, restore: settings } = config;
  const { backup_first: _, ...request } = threePhaseRequestOf(config, groups);
  const first = settings.backup_first ? backupRequestOf({ ...backup, backup_id }) : undefined;
  return {
    request: { ...request, ...(first !== undefined && { backup_first: first }) },
    isDryRun: settings.dry_run,
  };
}

/** Who says which groups does not mean the configured ones. */
function withoutGroups(
  config: DeployedRestoreConfig,
  { consumer_groups, auto_consumer_groups }: ThreePhaseInput,
): DeployedRestoreConfig {
  if (consumer_groups === undefined && auto_consumer_groups !== true) return config;
  const { consumer_groups: _, ...others } = config.restore;
  return { ...config, restore: { ...others, auto_consumer_groups: false } };
}

function wantedOf(input: ThreePhaseInput) {
  const { new: _new, resume, approval, approval_timeout_secs, turn_ms, ...wanted } = input;
  return wanted;
}

const ofRestore = [...Object.keys(restoreSubject), ...Object.keys(restoreChoices), "turn_ms"];

/** What the restore machine is started with, under the lease of this one. */
export function restoreInputOf(
  input: ThreePhaseInput,
  { lease, start_new }: { readonly lease: LeaseHolder; readonly start_new: boolean },
): object {
  const given = Object.entries(input).filter(([name]) => ofRestore.includes(name));
  return { ...Object.fromEntries(given), new: start_new, dry_run: false, held: { lease } };
}

/** What the backup machine is started with. */
export function backupInputOf(
  { turn_ms }: ThreePhaseInput,
  { restore: { backup_id } }: ThreePhaseRequest,
) {
  return { backup_id, ...(turn_ms !== undefined && { turn_ms }) };
}

function invalid(problem: string): BackupError {
  return new BackupError("InvalidRequestError", problem, {
    hint: "statemachines/README.md shows the input of each state machine.",
  });
}
