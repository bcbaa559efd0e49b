/**
 * The checks before the first write (R4): whether the target takes what is to be restored, and
 * keeps it. Each finding has its remedy; one error refuses the restore.
 */
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { TopicPlan } from "#core/restore/documents.ts";
import { errorsOf, type Finding, findingLine } from "#core/restore/findings.ts";
import { recordGrowthMax } from "#core/restore/offset-headers.ts";
import type { RestorePlan } from "#core/restore/plan.ts";
import { checkExistingTopic } from "#core/restore/preflight-existing.ts";
import { checkNewTopic } from "#core/restore/preflight-new.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { readTarget } from "#core/restore/target.ts";

export interface Preflight {
  readonly findings: readonly Finding[];
  /** What to do with each topic; incomplete where there are errors. */
  readonly topics: readonly TopicPlan[];
}

/** Writes nothing: what the target would refuse is asked with validate_only. */
export async function preflight(
  cluster: Cluster,
  plan: RestorePlan,
  request: RestoreRequest,
  nowMs: number,
): Promise<Preflight> {
  const names = plan.topics.map(({ target_topic }) => target_topic);
  const target = await readTarget(cluster, names);
  const findings: Finding[] = [...plan.findings];
  const topics: TopicPlan[] = [];
  for (const planned of plan.topics) {
    const sourceClusterId = plan.stored.manifest.cluster_id;
    const recordGrowthBytes = plan.include_offset_headers ? recordGrowthMax : 0;
    const check = {
      ...{ cluster, target, planned, request },
      ...{ sourceClusterId, recordGrowthBytes, nowMs },
    };
    const reason = target.hidden.get(planned.target_topic);
    if (reason !== undefined) {
      findings.push(hiddenTopic(planned.target_topic, reason));
      continue;
    }
    const existing = target.topics.get(planned.target_topic);
    const checked =
      existing === undefined
        ? await checkNewTopic(check)
        : await checkExistingTopic(check, existing);
    findings.push(...checked.findings);
    if (checked.plan !== undefined) topics.push(checked.plan);
  }
  return { findings, topics };
}

function hiddenTopic(topic: string, reason: BackupError): Finding {
  return {
    severity: "error",
    code: "describe-denied",
    topic,
    message: `whether it exists is not known: ${reason.message}`,
    remedy: `Grant DESCRIBE on topic ${topic}, and CREATE if it is to be created.`,
  };
}

/**
 * Throws PreflightRefusedError where there is an error among the findings, or TargetNotEmptyError
 * where that is all there is to say against the restore.
 */
export function refuseErrors(findings: readonly Finding[]): void {
  const errors = errorsOf(findings);
  if (errors.length === 0) return;
  const isAllNotEmpty = errors.every(({ code }) => code === "target-not-empty");
  const lines = errors.map(findingLine).join("\n");
  const remedies = [...new Set(errors.map(({ remedy }) => remedy))].join("\n");
  throw new BackupError(
    isAllNotEmpty ? "TargetNotEmptyError" : "PreflightRefusedError",
    isAllNotEmpty ? lines : `nothing was written:\n${lines}`,
    { hint: remedies, details: { errors: errors.length } },
  );
}
