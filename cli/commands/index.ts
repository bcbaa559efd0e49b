/** All commands, in the order of the help. `cli/command.ts` tells how to add one. */
import type { CommandEntry } from "#cli/command.ts";

export const commands: readonly CommandEntry[] = [
  {
    name: "backup",
    summary: "back up topics: a full run, or one that continues the backup",
    load: () => import("#cli/commands/backup.ts"),
  },
  {
    name: "restore",
    summary: "restore topics: whole, to a point in time, under another name",
    load: () => import("#cli/commands/restore.ts"),
  },
  {
    name: "three-phase-restore",
    summary: "restore topics, and put consumer groups to where they stood",
    load: () => import("#cli/commands/three-phase-restore.ts"),
  },
  {
    name: "list",
    summary: "list the backups of a folder or bucket",
    load: () => import("#cli/commands/list.ts"),
  },
  {
    name: "describe",
    summary: "show what a backup holds and up to when it can be restored",
    load: () => import("#cli/commands/describe.ts"),
  },
  {
    name: "inspect",
    summary: "look at records of a backup",
    load: () => import("#cli/commands/inspect.ts"),
  },
  {
    name: "validate",
    summary: "check that a backup is sound",
    load: () => import("#cli/commands/validate.ts"),
  },
  {
    name: "prune",
    summary: "remove what a backup does not need",
    load: () => import("#cli/commands/prune.ts"),
  },
  {
    name: "show-offset-mapping",
    summary: "show where every group of a backup stands after a restore",
    load: () => import("#cli/commands/show-offset-mapping.ts"),
  },
  {
    name: "offset-reset",
    summary: "put consumer groups where their restored records are",
    load: () => import("#cli/commands/offset-reset.ts"),
  },
  {
    name: "offset-rollback",
    summary: "keep what consumer groups have committed, and put it back",
    load: () => import("#cli/commands/offset-rollback.ts"),
  },
  {
    name: "doctor",
    summary: "examine brokers, rights, topics and storage before they are needed",
    load: () => import("#cli/commands/doctor.ts"),
  },
  {
    name: "config",
    summary: "check a configuration file, or write a first one",
    load: () => import("#cli/commands/config.ts"),
  },
];
