/** `kafka-backup offset-rollback`: what consumer groups had committed, kept and put back. */
import { type Configure, withExamples } from "#cli/command.ts";
import { configureRollback, configureVerify } from "#cli/commands/offset-rollback/rollback.ts";
import {
  configureDelete,
  configureDiff,
  configureList,
  configureShow,
  configureSnapshot,
} from "#cli/commands/offset-rollback/snapshots.ts";

export const configure: Configure = (command, context) => {
  withExamples(command, [
    [
      "kafka-backup offset-rollback snapshot --path /backups --groups billing --bootstrap-servers kafka:9092",
      "keep where a group stands",
    ],
    ["kafka-backup offset-rollback list --path /backups", "see what was kept"],
    [
      "kafka-backup offset-rollback rollback --path /backups --snapshot-id ID --bootstrap-servers kafka:9092",
      "put the group back there",
    ],
  ]);
  configureSnapshot(command, context);
  configureList(command, context);
  configureShow(command, context);
  configureVerify(command, context);
  configureRollback(command, context);
  configureDiff(command, context);
  configureDelete(command, context);
};
