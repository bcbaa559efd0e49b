/** The gaps that a run adds to those that its backup had before. */
import type { GapOfPartition } from "#core/backup/contract.ts";
import type { Manifest } from "#core/catalog/manifest.ts";
import { type LineageOfPartition, lineagesOf } from "#core/catalog/totals.ts";

/**
 * What `after` has and `before`, the manifest that it was made from, has not: a lineage keeps the
 * gaps of earlier runs and adds new ones behind. Neither times nor run ids could tell, as a run
 * may be the work of several attempts on several machines.
 */
export function gapsAdded(before: Manifest | undefined, after: Manifest): GapOfPartition[] {
  const lineagesBefore = before === undefined ? [] : lineagesOf(before);
  const counts = new Map(lineagesBefore.map((one) => [nameOf(one), one.state.gaps.length]));
  return lineagesOf(after).flatMap((one) => {
    const { topic, partition, state } = one;
    const added = state.gaps.slice(counts.get(nameOf(one)) ?? 0);
    return added.map((gap) => ({ ...gap, topic, partition }));
  });
}

function nameOf({ topic, partition, state }: LineageOfPartition): string {
  return `${topic}/${partition}/${state.lineage}`;
}
