/** What the functions measure, as `functions/runtime.ts` writes it, and how it is asked for. */
import type { Duration } from "aws-cdk-lib";
import { Metric } from "aws-cdk-lib/aws-cloudwatch";

const namespace = "KafkaBackup";

export interface MeasuredBy {
  /** The deployment's name. */
  readonly deployment: string;
  /** Unless given, of the deployment as a whole. */
  readonly backupId?: string;
}

export function measured(
  metricName: string,
  { deployment, backupId }: MeasuredBy,
  statistic: string,
  period: Duration,
): Metric {
  const dimensionsMap = {
    service: deployment,
    ...(backupId !== undefined && { backup_id: backupId }),
  };
  return new Metric({ namespace, metricName, dimensionsMap, statistic, period });
}

/** A graph's lines: one for each value of `by` that there is, such as each backup id. */
export function searchFor(
  metricName: string,
  by: "backup_id" | "error",
  deployment: string,
  statistic: string,
): string {
  const query = `{${namespace},service,${by}} MetricName="${metricName}" service="${deployment}"`;
  return `SEARCH('${query}', '${statistic}')`;
}
