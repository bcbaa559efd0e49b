/** Which consumer groups a request means. */
import picomatch from "picomatch";
import { BackupError } from "#core/errors.ts";
import type { GroupSelection } from "#core/offsets/contract.ts";

/**
 * Group names are no paths and hold anything: `*` matches slashes and line feeds, and nothing
 * negates.
 */
const globOptions = { dot: true, bash: true, nonegate: true, flags: "s" } as const;

/**
 * The groups that a selection means, ascending. A name that is there stands for itself, whatever
 * signs it holds; one without a glob's signs is selected though nobody knows it: a group may have
 * nothing committed yet. Throws InvalidRequestError for a glob that matches none of `names`.
 */
export function selectGroups(names: readonly string[], selection: GroupSelection): string[] {
  if ("all" in selection) return inOrder(names);
  const known = new Set(names);
  const selected: string[] = [];
  for (const wanted of selection.groups) {
    if (known.has(wanted) || !isGroupGlob(wanted)) {
      selected.push(wanted);
      continue;
    }
    const found = names.filter(groupMatcher(wanted));
    if (found.length === 0) {
      throw new BackupError(
        "InvalidRequestError",
        `no consumer group matches the pattern ${JSON.stringify(wanted)}`,
        { hint: "Name groups as Kafka lists them; groups that may not be seen look absent." },
      );
    }
    selected.push(...found);
  }
  return inOrder(selected);
}

/** The patterns of a selection that match none of `names`. */
export function unmatchedPatterns(names: readonly string[], selection: GroupSelection): string[] {
  if ("all" in selection) return [];
  return selection.groups.filter(
    (wanted) => isGroupGlob(wanted) && !names.some(groupMatcher(wanted)),
  );
}

/** Whether a group is one that an entry of a selection, a name or a pattern, means. */
export function groupMatcher(entry: string): (group: string) => boolean {
  const matches = isGroupGlob(entry) ? picomatch(entry, globOptions) : undefined;
  return (group) => group === entry || matches?.(group) === true;
}

/** Whether an entry of a selection is a pattern, unless a group is called so. */
export function isGroupGlob(entry: string): boolean {
  return picomatch.scan(entry, globOptions).isGlob;
}

function inOrder(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
