/** The first step of a restore: continue, or say what is finished, or plan and store the intent. */
import { formatVersion } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import type { RestoreIntent } from "#core/restore/documents.ts";
import type { Finding } from "#core/restore/findings.ts";
import { meantRestore } from "#core/restore/identity.ts";
import { preflight, refuseErrors } from "#core/restore/preflight.ts";
import type { RestoreReport } from "#core/restore/report.ts";
import { type RestoreRequest, requestSha256 } from "#core/restore/request.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { summaryOfBegun } from "#core/restore/restore-summary.ts";
import { newRunId } from "#core/run-id.ts";

export type Beginning =
  | { readonly status: "begun"; readonly intent: RestoreIntent }
  | { readonly status: "continued"; readonly intent: RestoreIntent }
  | { readonly status: "already_done"; readonly report: RestoreReport };

/**
 * Call it with the lease of restores into the target cluster held. Nothing is written but the
 * intent, and that last. Throws what `meantRestore` throws, PreflightRefusedError and
 * TargetNotEmptyError.
 */
export async function beginRestore(
  deps: RestoreDeps,
  request: RestoreRequest,
  startNew: boolean,
): Promise<Beginning> {
  const meant = await meantRestore(deps, request, startNew);
  if (meant.status === "continued") {
    await requireSameManifest(deps, meant.intent);
    return meant;
  }
  if (meant.status === "already_done") return { status: "already_done", report: meant.report };

  const { plan } = meant;
  const { manifest, sha256 } = plan.stored;
  const nowMs = deps.clock.nowMs();
  const { findings, topics } = await preflight(deps.cluster, plan, request, nowMs);
  for (const finding of findings) logFinding(deps, finding);
  refuseErrors(findings);
  const intent: RestoreIntent = {
    format_version: formatVersion,
    backup_id: request.backup_id,
    restore_id: newRunId(nowMs, deps.newId()),
    created_at: BigInt(nowMs),
    request_sha256: requestSha256(request),
    manifest: { generation: manifest.generation, sha256 },
    target_cluster_id: deps.cluster.clusterId,
    window: request.window,
    ...(plan.include_offset_headers && { include_offset_headers: true }),
    topics: [...topics],
    findings: [...findings],
  };
  const record = new RestoreRecord(deps.storage, intent.backup_id, intent.restore_id);
  await record.writeIntent(intent);
  await deps.catalog.noteRestore(intent.backup_id, summaryOfBegun(intent));
  return { status: "begun", intent };
}

/** What was planned is only true of the manifest that it was planned from. */
async function requireSameManifest(
  { catalog }: RestoreDeps,
  { backup_id, restore_id, manifest }: RestoreIntent,
): Promise<void> {
  const { sha256 } = await catalog.readManifest(backup_id, manifest.generation);
  if (sha256 === manifest.sha256) return;
  throw new BackupError(
    "CorruptManifestError",
    `manifest ${manifest.generation} of backup "${backup_id}" has SHA-256 ${sha256}, but restore ` +
      `${restore_id} began with ${manifest.sha256}`,
  );
}

function logFinding({ logger }: RestoreDeps, finding: Finding): void {
  const { severity, topic, message, remedy } = finding;
  const fields = { topic, remedy, code: finding.code };
  if (severity === "warning") logger.warn(`${topic}: ${message}`, fields);
  if (severity === "info") logger.info(`${topic}: ${message}`, fields);
}
