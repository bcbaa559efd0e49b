/** The sub-commands that take, show, compare and remove snapshots. */
import { type Command, Option } from "commander";
import { type CommandContext, pathHelp, tableHelp, withExamples } from "#cli/command.ts";
import {
  type ConnectionOptions,
  connectByOptions,
  withConnectionOptions,
} from "#cli/connection-options.ts";
import { nameList } from "#cli/option-values.ts";
import { openCatalogOn, openStorageAt, tableNamed } from "#cli/runtime.ts";
import type { Session } from "#cli/session.ts";
import { diffText, listText, snapshotText } from "#cli/snapshot-text.ts";
import type { Catalog } from "#core/catalog/catalog.ts";
import { BackupError, exitCodes } from "#core/errors.ts";
import type { GroupSelection } from "#core/offsets/contract.ts";
import type { ListedSnapshot } from "#core/offsets/list-snapshots.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { parseLocation } from "#core/storage/location.ts";

export const snapshotIdHelp = "the snapshot, as list shows it";

interface SnapshotOptions extends ConnectionOptions, PlaceOptions {
  readonly groups?: readonly string[];
  readonly allGroups?: boolean;
  readonly description: string;
}

export function openPath(session: Session, path: string): Promise<StorageBackend> {
  return openStorageAt(session, parseLocation(path));
}

export interface PlaceOptions {
  readonly path: string;
  readonly table?: string;
}

/** The storage, and the catalogue that is told of snapshots. */
export async function openPlace(
  session: Session,
  { path, table }: PlaceOptions,
): Promise<{ storage: StorageBackend; catalog: Catalog }> {
  const storage = await openPath(session, path);
  return { storage, catalog: await openCatalogOn(session, storage, tableNamed(table)) };
}

export function configureSnapshot(parent: Command, context: CommandContext): void {
  const command = parent
    .command("snapshot")
    .description("stores what groups have committed; changes nothing in Kafka")
    .requiredOption("--path <location>", pathHelp)
    .option(
      "--groups <names>",
      "names or patterns, divided by commas (\\, for one in a name)",
      nameList,
    )
    .addOption(new Option("--all-groups", "every group of the cluster").conflicts("groups"))
    .option("--description <text>", "why it was taken, for whoever reads the list", "")
    .option("--table <name>", tableHelp);
  withConnectionOptions(command);
  withExamples(command, [
    [
      "kafka-backup offset-rollback snapshot --path /backups --groups billing,orders-* --bootstrap-servers kafka:9092",
      "two groups, or as many as match",
    ],
    [
      "kafka-backup offset-rollback snapshot --path /backups --all-groups --config backup.yaml",
      "all, with the connection of a configuration",
    ],
  ]);
  command.addHelpText(
    "after",
    "\nStores nothing where a broker or a group that was named cannot be read. Of all groups, those\n" +
      "that cannot be read are listed, and the command exits 3.",
  );
  context.action(command, async (session, options: SnapshotOptions) => {
    const groups = selectionOf(options);
    const { takeSnapshot } = await import("#core/offsets/snapshot.ts");
    const place = await openPlace(session, options);
    const cluster = await connectByOptions(session, options);
    const { clock, logger, newId } = session;
    const deps = { ...place, cluster, clock, logger, newId };
    const snapshot = await takeSnapshot(deps, { groups, description: options.description });
    if (!snapshot.groups_complete) {
      logger.warn("groups may be missing: the credentials lack Describe on the cluster");
    }
    await session.write(snapshot, () => snapshotText(session.io, snapshot));
    return snapshot.unread_groups.length > 0 ? exitCodes.doneWithGaps : exitCodes.done;
  });
}

function selectionOf({ groups, allGroups }: SnapshotOptions): GroupSelection {
  if (allGroups === true) return { all: true };
  if (groups !== undefined) return { groups: [...groups] };
  throw new BackupError("InvalidRequestError", "--groups or --all-groups is missing", {
    hint: "Name the groups: --groups NAME,NAME; or take --all-groups.",
  });
}

export function configureList(parent: Command, context: CommandContext): void {
  const command = parent
    .command("list")
    .description("lists the snapshots of a folder or bucket, the newest last")
    .requiredOption("--path <location>", pathHelp)
    .option("--table <name>", tableHelp);
  withExamples(command, [["kafka-backup offset-rollback list --path /backups", "what was kept"]]);
  command.addHelpText("after", "\nExits 13 where a snapshot cannot be read.");
  context.action(command, async (session, options: PlaceOptions) => {
    const { listedSnapshots } = await import("#core/offsets/list-snapshots.ts");
    const place = await openPlace(session, options);
    const { storage } = place;
    const snapshots: ListedSnapshot[] = [];
    for await (const snapshot of listedSnapshots(place)) snapshots.push(snapshot);
    await session.write(snapshots, () => listText(session.io, storage.url, snapshots));
    const isDamaged = snapshots.some(({ status }) => status === "unreadable");
    return isDamaged ? exitCodes.damaged : exitCodes.done;
  });
}

export function configureShow(parent: Command, context: CommandContext): void {
  const command = parent
    .command("show")
    .description("shows the positions of a snapshot")
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--snapshot-id <id>", snapshotIdHelp);
  withExamples(command, [
    [
      "kafka-backup offset-rollback show --path /backups --snapshot-id ID --format json",
      "the document itself, for scripts",
    ],
  ]);
  context.action(command, async (session, options: { path: string; snapshotId: string }) => {
    const { readSnapshot } = await import("#core/offsets/snapshot.ts");
    const storage = await openPath(session, options.path);
    const snapshot = await readSnapshot(storage, options.snapshotId);
    await session.write(snapshot, () => snapshotText(session.io, snapshot));
    return exitCodes.done;
  });
}

export function configureDiff(parent: Command, context: CommandContext): void {
  const command = parent
    .command("diff")
    .description("shows how groups moved from one snapshot to another")
    .requiredOption("--path <location>", pathHelp)
    .argument("<from>", "a snapshot")
    .argument("<to>", "another one");
  withExamples(command, [
    ["kafka-backup offset-rollback diff --path /backups ID1 ID2", "what was read in between"],
  ]);
  context.action(command, async (session, options: { path: string }, from = "", to = "") => {
    const { readSnapshot } = await import("#core/offsets/snapshot.ts");
    const { diffSnapshots } = await import("#core/offsets/snapshot-diff.ts");
    const storage = await openPath(session, options.path);
    const diff = diffSnapshots(await readSnapshot(storage, from), await readSnapshot(storage, to));
    await session.write(diff, () => diffText(session.io, diff));
    return exitCodes.done;
  });
}

export function configureDelete(parent: Command, context: CommandContext): void {
  const command = parent
    .command("delete")
    .description("removes a snapshot for good; changes nothing in Kafka")
    .requiredOption("--path <location>", pathHelp)
    .requiredOption("--snapshot-id <id>", snapshotIdHelp)
    .option("--table <name>", tableHelp);
  withExamples(command, [
    [
      "kafka-backup offset-rollback delete --path /backups --snapshot-id ID",
      "when it is not needed",
    ],
  ]);
  context.action(command, async (session, options: PlaceOptions & { snapshotId: string }) => {
    const { deleteSnapshot } = await import("#core/offsets/snapshot.ts");
    const { storage, catalog } = await openPlace(session, options);
    await deleteSnapshot(storage, options.snapshotId, catalog);
    const result = { status: "deleted", snapshot_id: options.snapshotId };
    await session.write(result, () => `deleted ${options.snapshotId}`);
    return exitCodes.done;
  });
}
