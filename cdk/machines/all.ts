import { backupMachine } from "#cdk/machines/backup.ts";
import type { Machine } from "#cdk/machines/machine.ts";
import { validateMachine } from "#cdk/machines/validate.ts";

/** In the order in which they are deployed: a machine that starts another stands after it. */
export const machines: readonly Machine[] = [backupMachine, validateMachine];
