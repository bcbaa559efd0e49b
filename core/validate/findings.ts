/**
 * What `validate` can find. Codes are a public contract like error names: added, never renamed.
 * `level` is the cheapest level of validation that finds it.
 */

export const validationLevels = ["shallow", "deep"] as const;
/**
 * `shallow`: documents, hash chain, totals, continuity; existence and size of every segment and
 * index; objects that nothing names. `deep`: every byte of every segment and index besides.
 */
export type ValidationLevel = (typeof validationLevels)[number];

/** `error`: the backup is damaged. `warning`: it is whole, but somebody should look. */
export const severities = ["error", "warning", "info"] as const;
export type Severity = (typeof severities)[number];
/** For sorting: the gravest first. */
export const severityRank: Readonly<Record<Severity, number>> = { error: 0, warning: 1, info: 2 };

interface FindingEntry {
  readonly severity: Severity;
  readonly level: ValidationLevel;
  readonly summary: string;
  readonly remedy: string;
}

const bringBack = "Bring back an older version of the object (bucket versioning, replica).";
const restoreOlder =
  `${bringBack} Without one, the offsets of this segment are lost: ` +
  "back up again while the source topic still has them.";
const noRepair =
  "Nothing is lost by itself: every batch is there. Report it with the software's version.";

export const findingTable = {
  manifest_missing: {
    severity: "error",
    level: "shallow",
    summary: "A generation is missing in the chain of manifests.",
    remedy: bringBack,
  },
  manifest_damaged: {
    severity: "error",
    level: "shallow",
    summary: "A manifest is no valid document, or not the one that its key says.",
    remedy: bringBack,
  },
  manifest_chain_broken: {
    severity: "error",
    level: "shallow",
    summary: "A manifest does not have the SHA-256 that its successor recorded.",
    remedy: `${bringBack} Either of the two was changed after it was written.`,
  },
  manifest_copy_missing: {
    severity: "warning",
    level: "shallow",
    summary: "manifest.json, the copy of the newest manifest, is missing.",
    remedy: "The next backup run writes it; nothing but it vouches for the newest manifest.",
  },
  manifest_copy_stale: {
    severity: "warning",
    level: "shallow",
    summary: "manifest.json is the copy of an older generation.",
    remedy: "The next backup run replaces it; until then nothing vouches for the newest manifest.",
  },
  manifest_copy_differs: {
    severity: "error",
    level: "shallow",
    summary: "manifest.json and the newest manifest should be equal, but are not.",
    remedy: "Compare both; bring back an older version of the one that was changed.",
  },
  document_missing: {
    severity: "error",
    level: "shallow",
    summary: "A run page, run document, run list or cluster.json is missing.",
    remedy: bringBack,
  },
  document_damaged: {
    severity: "error",
    level: "shallow",
    summary: "A document does not have the recorded size or SHA-256, or is malformed.",
    remedy: bringBack,
  },
  document_contradicts: {
    severity: "error",
    level: "shallow",
    summary: "A document speaks of another backup, run or topic than the one that names it.",
    remedy: bringBack,
  },
  totals_differ: {
    severity: "error",
    level: "shallow",
    summary: "Recorded totals are not the sum of the segments.",
    remedy: `${noRepair} A restore reads the segments, not the totals.`,
  },
  offsets_contradict: {
    severity: "error",
    level: "shallow",
    summary: "Segments overlap, are out of order, or lie outside of what the manifest records.",
    remedy: "Restore an older generation, or another lineage; report it with the run's id.",
  },
  offsets_unexplained: {
    severity: "warning",
    level: "shallow",
    summary: "Offsets between two segments are neither stored, nor dropped, nor a recorded gap.",
    remedy: "Harmless where the topic was compacted once; else compare with the source topic.",
  },
  offsets_gap: {
    severity: "info",
    level: "shallow",
    summary: "Offsets were deleted from the source before a run could read them.",
    remedy: "Back up more often than retention.ms, or raise it.",
  },
  segment_missing: {
    severity: "error",
    level: "shallow",
    summary: "A segment that the backup names does not exist.",
    remedy: restoreOlder,
  },
  segment_size_differs: {
    severity: "error",
    level: "shallow",
    summary: "A segment does not have its recorded size.",
    remedy: restoreOlder,
  },
  index_missing: {
    severity: "error",
    level: "shallow",
    summary: "The index of a segment does not exist.",
    remedy: bringBack,
  },
  index_size_differs: {
    severity: "error",
    level: "shallow",
    summary: "The index of a segment does not have its recorded size.",
    remedy: bringBack,
  },
  index_damaged: {
    severity: "error",
    level: "deep",
    summary: "The index of a segment does not have its recorded SHA-256, or is malformed.",
    remedy: bringBack,
  },
  segment_hash_differs: {
    severity: "error",
    level: "deep",
    summary: "A segment does not have its recorded SHA-256.",
    remedy: restoreOlder,
  },
  frame_damaged: {
    severity: "error",
    level: "deep",
    summary: "A frame of a segment does not have its recorded SHA-256 or cannot be decompressed.",
    remedy: restoreOlder,
  },
  batch_damaged: {
    severity: "error",
    level: "deep",
    summary: "A record batch fails its CRC-32C, or its header is malformed.",
    remedy: restoreOlder,
  },
  records_damaged: {
    severity: "error",
    level: "deep",
    summary: "The records of a batch with a good CRC cannot be decoded.",
    remedy: "The producer wrote it so, if the source topic's consumers fail there too.",
  },
  segment_contradicts: {
    severity: "error",
    level: "deep",
    summary: "A segment holds other offsets, counts or timestamps than index or run list record.",
    remedy: restoreOlder,
  },
  object_orphaned: {
    severity: "info",
    level: "shallow",
    summary: "Nothing names this object: left by an interrupted attempt, or added by hand.",
    remedy: "`kafka-backup prune --orphans` lists and removes what no run needs.",
  },
  orphans_unknown: {
    severity: "warning",
    level: "shallow",
    summary: "Objects that nothing names were not looked for, because a document is damaged.",
    remedy: "Repair what the other findings name, then validate again.",
  },
} as const satisfies Record<string, FindingEntry>;

export type FindingCode = keyof typeof findingTable;

/** Where a finding is; every part that is known. */
export interface FindingPlace {
  /** From the location's root, as the object store lists it. */
  readonly key?: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly lineage?: number;
  readonly offset?: bigint;
}

export interface Finding extends FindingPlace {
  readonly severity: Severity;
  readonly code: FindingCode;
  readonly message: string;
  readonly remedy: string;
}

export function finding(code: FindingCode, message: string, place: FindingPlace = {}): Finding {
  const { severity, remedy } = findingTable[code];
  return { severity, code, ...place, message, remedy };
}
