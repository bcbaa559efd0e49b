/** A deployment at a glance: what was backed up, what ran, and what was in the way. */
import { Duration } from "aws-cdk-lib";
import {
  Dashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
  MathExpression,
} from "aws-cdk-lib/aws-cloudwatch";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import type { IStateMachine } from "aws-cdk-lib/aws-stepfunctions";
import type { Construct } from "constructs";
import { searchFor } from "#cdk/metrics.ts";

export interface DashboardProps {
  readonly deployment: string;
  readonly stateMachines: ReadonlyMap<string, IStateMachine>;
  readonly functions: ReadonlyMap<string, IFunction>;
  readonly table: ITable;
}

const period = Duration.minutes(5);
/** Three in a row. */
const size = { width: 8, height: 6 };

/** Metric, title and statistic of the graphs with a line for each backup id. */
const byBackup = [
  ["RecordsArchived", "Records read", "Sum"],
  ["BytesArchived", "Bytes of batches read", "Sum"],
  ["StoredBytes", "Bytes stored, of a run", "Sum"],
  ["CompressionRatio", "Bytes of batches to bytes stored", "Average"],
  ["Throughput", "Bytes of batches a second, of a run", "Average"],
  ["RunDuration", "Duration of a run, ms", "Maximum"],
  ["Gaps", "Gaps", "Sum"],
  ["FailedPartitions", "Failed partitions", "Sum"],
  ["RecordsRestored", "Records restored", "Sum"],
  ["FailedRestoredPartitions", "Partitions that could not be restored", "Sum"],
  ["LeaseConflicts", "Runs refused, as another was under way", "Sum"],
  ["ValidationFindings", "Findings of validations", "Sum"],
] as const;

export function addDashboard(scope: Construct, id: string, props: DashboardProps): void {
  const { deployment, functions } = props;
  const graphs = byBackup.map(([metric, title, statistic]) =>
    graph(title, [search(searchFor(metric, "backup_id", deployment, statistic))]),
  );
  const errors = search(searchFor("Errors", "error", deployment, "Sum"));
  new Dashboard(scope, id, {
    dashboardName: deployment,
    widgets: [
      inRows(graphs),
      inRows([
        ...executionGraphs(props.stateMachines),
        graph("Errors by name", [errors]),
        graph("Functions that failed", eachFunction(functions, "metricErrors", "Sum")),
        graph("Functions throttled", eachFunction(functions, "metricThrottles", "Sum")),
        graph("Duration of functions, ms", eachFunction(functions, "metricDuration", "Maximum")),
        graph("Table throttled", tableThrottles(props.table)),
      ]),
    ].flat(),
  });
}

function executionGraphs(machines: ReadonlyMap<string, IStateMachine>): GraphWidget[] {
  const each = (made: (machine: IStateMachine) => (options: object) => IMetric) =>
    [...machines].map(([label, machine]) =>
      made(machine).call(machine, { label, statistic: "Sum", period }),
    );
  return [
    graph(
      "Executions that succeeded",
      each((machine) => machine.metricSucceeded),
    ),
    graph(
      "Executions that failed",
      each((machine) => machine.metricFailed),
    ),
  ];
}

function eachFunction(
  functions: ReadonlyMap<string, IFunction>,
  metric: "metricErrors" | "metricThrottles" | "metricDuration",
  statistic: string,
): IMetric[] {
  return [...functions].map(([label, each]) => each[metric]({ label, statistic, period }));
}

function tableThrottles(table: ITable): IMetric[] {
  return ["ReadThrottleEvents", "WriteThrottleEvents"].map((name) =>
    table.metric(name, { label: name, statistic: "Sum", period }),
  );
}

function search(expression: string): IMetric {
  return new MathExpression({ expression, period, usingMetrics: {}, label: "" });
}

function graph(title: string, left: IMetric[]): GraphWidget {
  return new GraphWidget({ title, left, ...size });
}

function inRows(widgets: readonly IWidget[]): IWidget[][] {
  const rows: IWidget[][] = [];
  for (let i = 0; i < widgets.length; i += 3) rows.push(widgets.slice(i, i + 3));
  return rows;
}
