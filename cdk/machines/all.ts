import { backupMachine } from "#cdk/machines/backup.ts";
import type { Machine } from "#cdk/machines/machine.ts";
import { offsetRollbackMachine } from "#cdk/machines/offset-rollback.ts";
import { restoreMachine } from "#cdk/machines/restore.ts";
import { threePhaseRestoreMachine } from "#cdk/machines/three-phase-restore.ts";
import { validateMachine } from "#cdk/machines/validate.ts";

/** In the order in which they are deployed: a machine that starts another stands after it. */
export const machines: readonly Machine[] = [
  backupMachine,
  restoreMachine,
  threePhaseRestoreMachine,
  offsetRollbackMachine,
  validateMachine,
];
