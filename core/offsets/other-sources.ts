/** Where a position is not known: which other offset source would give one. */
import type { Catalog } from "#core/catalog/catalog.ts";
import type { Manifest } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { GroupSelection, OffsetSource } from "#core/offsets/contract.ts";
import {
  type KnownMoment,
  type KnownPositions,
  knownMoments,
  type MomentsRequest,
  momentOfCluster,
} from "#core/offsets/known-positions.ts";
import { PositionSearch, type WantedPartition } from "#core/offsets/position-search.ts";
import { groupMatcher, isGroupGlob } from "#core/offsets/select-groups.ts";
import { timeText } from "#core/restore/lineage.ts";
import type { Clock } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

interface OtherSourcesDeps {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  readonly clock: Clock;
  /** Asked where it is the backup's own. */
  readonly cluster?: Cluster;
}

/** What was asked for, and could not be answered. */
export interface UnknownPositions {
  readonly manifest: Manifest;
  readonly wanted: readonly WantedPartition[];
  readonly offset_source: OffsetSource;
  /** Inclusive, Unix milliseconds. */
  readonly window_end?: bigint | undefined;
  /** Names, patterns that match nothing in what was read, or all groups. */
  readonly missing: GroupSelection;
  /** All groups of what was read. */
  readonly known_groups: readonly string[];
}

/** Moments that are looked into for each source: the newest ones of a day of hourly runs. */
const momentsMax = 20;
/** Snapshots, and groups, that are named in one message; the rest are counted. */
const snapshotsNamed = 5;
const groupsNamed = 5;

interface Choice {
  /** As `--offset-source` takes it, and of when it is. */
  readonly text: string;
  readonly search: PositionSearch;
}

/**
 * The error for groups without a position: PreflightRefusedError that names the sources which
 * would give at least one of them a position; InvalidRequestError for a pattern that matches no
 * group of any moment that was looked into.
 */
export async function nothingKnown(
  deps: OtherSourcesDeps,
  unknown: UnknownPositions,
): Promise<BackupError> {
  const { manifest, missing } = unknown;
  const { choices, names } = await lookInto(deps, unknown);
  const isAsked = deps.cluster?.clusterId === manifest.cluster_id;
  const nowhere = entriesOf(missing).filter((entry) => !names.some(groupMatcher(entry)));
  const pattern = nowhere.find(isGroupGlob);
  if (pattern !== undefined) return noMatch(pattern);
  const isMissing = matcherOf(missing);
  const useful = choices
    .filter(({ search }) => search.positions.some(({ group }) => isMissing(group)))
    .map(({ text }) => text);
  if (!isAsked && unknown.offset_source !== "current" && names.some(isMissing)) {
    useful.push(`current (cluster ${manifest.cluster_id}, which was not asked)`);
  }
  const message = `no position in what was restored is known ${whenText(unknown)}`;
  return new BackupError("PreflightRefusedError", `${message} of ${groupsText(missing)}`, {
    hint: hintOf(useful, nowhere),
  });
}

/** Such as matches no group at all. */
export function noMatch(pattern: string): BackupError {
  return new BackupError(
    "InvalidRequestError",
    `no consumer group matches the pattern ${JSON.stringify(pattern)}`,
    { hint: "Name groups as Kafka lists them; groups that may not be seen look absent." },
  );
}

interface Looked {
  readonly choices: readonly Choice[];
  /** All groups that any of the moments told of. */
  readonly names: readonly string[];
}

async function lookInto(deps: OtherSourcesDeps, unknown: UnknownPositions): Promise<Looked> {
  const { cluster, clock } = deps;
  const { manifest, wanted, offset_source, window_end, missing, known_groups } = unknown;
  const names = new Set(known_groups);
  const choices: Choice[] = [];
  /** Each moment once, with the searches that it may answer. */
  const asked = new Map<string, { moment: KnownMoment; searches: PositionSearch[] }>();
  const choose = (text: string, moments: readonly KnownMoment[]) => {
    const search = new PositionSearch(wanted);
    choices.push({ text, search });
    for (const moment of moments) ask(moment).push(search);
    return search;
  };
  const ask = (moment: KnownMoment) => {
    const entry = asked.get(moment.from) ?? { moment, searches: [] };
    asked.set(moment.from, entry);
    return entry.searches;
  };
  const newestOf = (request: MomentsRequest) => newest(knownMoments(deps, manifest, request));
  const latest = await newestOf({});
  for (const moment of latest) ask(moment);
  if (latest[0] !== undefined && offset_source !== "latest") {
    choose(`latest (${latest[0].from} of ${timeText(latest[0].read_at)})`, latest);
  }
  if (window_end !== undefined && offset_source !== "at-window-end") {
    choose("at-window-end", await newestOf({ until: window_end }));
  }
  if (cluster?.clusterId === manifest.cluster_id && offset_source !== "current") {
    const literal = entriesOf(missing).some(isGroupGlob) ? [] : entriesOf(missing);
    const groups = literal.length > 0 ? literal : undefined;
    const now = momentOfCluster({ cluster, clock }, manifest, groups);
    const search = choose(`current (what cluster ${manifest.cluster_id} has now)`, []);
    const known = await now.read();
    for (const group of committedGroups(known)) names.add(group);
    search.look(known);
  }
  for (const moment of await newestOf({ without_runs: true })) {
    const source = moment.from.replace(" ", ":");
    if (source === offset_source) continue;
    choose(`${source} of ${timeText(moment.read_at)}`, [moment]);
  }
  for (const { moment, searches } of [...asked.values()].sort(newestFirst)) {
    const known = await moment.read();
    for (const group of [...known.groups.keys(), ...known.unread.keys()]) names.add(group);
    for (const search of searches) search.look(known);
  }
  return { choices, names: [...names] };
}

function newestFirst(
  { moment: a }: { readonly moment: KnownMoment },
  { moment: b }: { readonly moment: KnownMoment },
): number {
  return a.read_at > b.read_at ? -1 : a.read_at < b.read_at ? 1 : 0;
}

async function newest(moments: AsyncIterable<KnownMoment>): Promise<KnownMoment[]> {
  const found: KnownMoment[] = [];
  for await (const moment of moments) if (found.push(moment) === momentsMax) break;
  return found;
}

/** A cluster that is asked by name answers for groups that do not exist, too. */
function committedGroups({ groups, unread }: KnownPositions): string[] {
  const committed = [...groups].filter(([, partitions]) => Object.keys(partitions).length > 0);
  return [...committed.map(([group]) => group), ...unread.keys()];
}

function entriesOf(selection: GroupSelection): readonly string[] {
  return "all" in selection ? [] : selection.groups;
}

function matcherOf(selection: GroupSelection): (group: string) => boolean {
  if ("all" in selection) return () => true;
  const matchers = selection.groups.map(groupMatcher);
  return (group) => matchers.some((matches) => matches(group));
}

function whenText({ offset_source, window_end }: UnknownPositions): string {
  return offset_source === "at-window-end" && window_end !== undefined
    ? `at or before the end of the window, ${timeText(window_end)},`
    : `by offset source ${offset_source}`;
}

function groupsText(selection: GroupSelection): string {
  return "all" in selection ? "any group" : `group ${named(selection.groups)}`;
}

function named(groups: readonly string[]): string {
  const names = groups.slice(0, groupsNamed).map((group) => JSON.stringify(group));
  const more = groups.length > groupsNamed ? ` and ${groups.length - groupsNamed} more` : "";
  return `${names.join(", ")}${more}`;
}

/** One line for each thought. */
function hintOf(useful: readonly string[], nowhere: readonly string[]): string {
  const lines: string[] = [];
  if (nowhere.length > 0) {
    lines.push(
      `No reading of the backup knows ${named(nowhere)}: ` +
        "`kafka-backup show-offset-mapping` shows the names.",
    );
  }
  if (useful.length > 0) {
    const others = useful.filter((text) => !text.startsWith("snapshot:"));
    const snapshots = useful.filter((text) => text.startsWith("snapshot:"));
    const choices = [...others, ...snapshots.slice(0, snapshotsNamed)];
    lines.push(`Choose another offset source: ${choices.join(", ")}.`);
  } else if (nowhere.length === 0) {
    lines.push("None of the newest readings has one either: leave such groups out.");
  }
  return lines.join("\n");
}
