/** Objects of a backup that nothing names, as a validation tells of them. */
import { isBackupError } from "#core/errors.ts";
import { readNamedKeys } from "#core/prune/named-keys.ts";
import { findOrphans, type Orphan } from "#core/prune/orphans.ts";
import type { Deadline } from "#core/runtime.ts";
import {
  type BackupReader,
  type CheckedManifests,
  readManifestHistory,
} from "#core/validate/manifest-history.ts";

export interface KnownOrphans {
  readonly orphans: AsyncIterable<Orphan>;
}

/** What the validation found of them before. */
export interface ValidatedDocuments {
  readonly backupId: string;
  readonly manifests: CheckedManifests;
  readonly plan: { readonly is_complete: boolean };
}

/** A damaged document hides what it names, which would look like nobody's. */
export interface UnknownOrphans {
  readonly problem: string;
}

/** A run's state goes when the run is committed: whoever reads it just then begins again. */
const attemptsMax = 3;

/**
 * The last thing that a validation looks at, and by what the manifests say then: runs that were
 * committed since it began are no orphans. What a run under way has stored since its last
 * checkpoint is one, as after a crash; so are, in either case, the objects of a run that began
 * after the names were read. Both are findings of severity `info`.
 */
export async function orphansOf(
  deps: BackupReader,
  { backupId, manifests, plan }: ValidatedDocuments,
  deadline: Deadline,
): Promise<KnownOrphans | UnknownOrphans> {
  const found = manifests.findings.find(({ severity }) => severity === "error");
  if (found !== undefined) return { problem: found.message };
  if (!plan.is_complete) return { problem: "the other findings tell of it" };
  for (let attempt = 1; ; attempt++) {
    const history = await readManifestHistory(deps, backupId, deadline);
    const damage = history.findings.find(({ severity }) => severity === "error");
    if (damage !== undefined) return { problem: damage.message };
    try {
      const named = await readNamedKeys(deps, history, deadline);
      return { orphans: findOrphans(deps.storage, backupId, named, deadline) };
    } catch (error) {
      if (!isBackupError(error, "ObjectNotFoundError", "CorruptManifestError")) throw error;
      if (attempt === attemptsMax) return { problem: error.message };
    }
  }
}
