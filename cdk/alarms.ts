/**
 * When somebody has to look. Each alarm's description says what happened and which heading of
 * docs/operations.md says what to do; `test/cdk/alarms.test.ts` fails where that heading is not.
 */
import { Duration } from "aws-cdk-lib";
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  TreatMissingData,
} from "aws-cdk-lib/aws-cloudwatch";
import { SnsAction } from "aws-cdk-lib/aws-cloudwatch-actions";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import type { IQueue } from "aws-cdk-lib/aws-sqs";
import type { IStateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { measured } from "#cdk/metrics.ts";
import { pascalCase } from "#cdk/names.ts";
import type { Schedule } from "#core/config/schedules.ts";

export interface AlarmsProps {
  /** The deployment's name, with which those of its alarms begin. */
  readonly deployment: string;
  readonly topic: ITopic;
  /** Where docs/operations.md can be read; its path in the project unless given. */
  readonly runbook?: string | undefined;
  /** By the machine's name: `backup`. */
  readonly stateMachines: ReadonlyMap<string, IStateMachine>;
  readonly schedules: readonly Schedule[];
  /** Events of schedules that did not become executions. */
  readonly unstarted: IQueue | undefined;
}

interface AlarmRule {
  /** `gap`. */
  readonly name: string;
  readonly metric: IMetric;
  readonly what: string;
  /** Of docs/operations.md, as a link has it. */
  readonly heading: string;
  /** Alarms from this value on; 1 unless given. */
  readonly from?: number;
  /** Alarms below this value instead, and where nothing is measured, after so many periods. */
  readonly below?: { readonly value: number; readonly periods: number };
}

/** CloudWatch charges by the alarm, not by how often it looks. */
const soon = Duration.minutes(5);
const anHour = Duration.hours(1);
/**
 * 3 TB of one partition at 75 MB/s take so long, and a restore, which reads it back, of 1.5 TB. No
 * other run does, and one that does not move is taken over after half a minute: a run that goes on
 * for longer hangs and yet renews its lease.
 */
const leaseHeldSecondsMax = 12 * 60 * 60;

export class Alarms extends Construct {
  readonly #props: AlarmsProps;

  constructor(scope: Construct, id: string, props: AlarmsProps) {
    super(scope, id);
    this.#props = props;
    for (const [name, machine] of props.stateMachines) {
      for (const rule of ofMachine(name, machine)) this.#add(rule);
    }
    for (const rule of ofBackups(props.deployment)) this.#add(rule);
    for (const schedule of props.schedules) this.#addOfSchedule(schedule);
    if (props.unstarted === undefined) return;
    this.#add({
      name: "schedule-not-started",
      metric: props.unstarted.metricApproximateNumberOfMessagesVisible({
        ...{ statistic: "Maximum", period: soon },
      }),
      what: "A schedule could not start an execution for an hour.",
      heading: "a-schedule-did-not-start",
    });
  }

  #addOfSchedule({ name, backup_id, validate, alarm_after_hours }: Schedule): void {
    if (alarm_after_hours === undefined) return;
    const by = { deployment: this.#props.deployment, backupId: backup_id };
    const [metric, what] =
      validate === undefined
        ? [measured("GoodRuns", by, "Sum", anHour), "run that read every partition"]
        : // Written by every validation, also where it finds nothing.
          [measured("ValidationFindings", by, "SampleCount", anHour), "validation to its end"];
    this.#add({
      name: `schedule-${name}-overdue`,
      metric,
      what: `No ${what} of backup ${backup_id} for ${alarm_after_hours} hours.`,
      heading: "no-good-run-for-too-long",
      below: { value: 1, periods: alarm_after_hours },
    });
  }

  #add({ name, metric, what, heading, from = 1, below }: AlarmRule): void {
    const { deployment, topic, runbook = "docs/operations.md" } = this.#props;
    const alarm = new Alarm(this, pascalCase(name), {
      alarmName: `${deployment}-${name}`,
      alarmDescription: `${what} What to do: ${runbook}#${heading}`,
      metric,
      threshold: below?.value ?? from,
      comparisonOperator:
        below === undefined
          ? ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD
          : ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: below?.periods ?? 1,
      treatMissingData:
        below === undefined ? TreatMissingData.NOT_BREACHING : TreatMissingData.BREACHING,
    });
    const tell = new SnsAction(topic);
    alarm.addAlarmAction(tell);
    alarm.addOkAction(tell);
  }
}

function ofMachine(name: string, machine: IStateMachine): AlarmRule[] {
  const options = { statistic: "Sum", period: soon };
  const heading = "an-execution-failed";
  return [
    {
      name: `${name}-failed`,
      metric: machine.metricFailed(options),
      what: `An execution of ${name} failed.`,
      heading,
    },
    {
      name: `${name}-timed-out`,
      metric: machine.metricTimedOut(options),
      what: `An execution of ${name} did not end within the time that it has.`,
      heading,
    },
  ];
}

function ofBackups(deployment: string): AlarmRule[] {
  const sum = (name: string) => measured(name, { deployment }, "Sum", soon);
  return [
    {
      name: "gap",
      metric: sum("Gaps"),
      what: "Kafka deleted records before a run had read them.",
      heading: "there-is-a-gap",
    },
    {
      name: "partition-failed",
      metric: sum("FailedPartitions"),
      what: "A run could not read a partition; the others are backed up.",
      heading: "a-partition-failed",
    },
    {
      name: "restored-partition-failed",
      metric: sum("FailedRestoredPartitions"),
      what: "A restore could not restore a partition; the others are restored.",
      heading: "a-partition-could-not-be-restored",
    },
    {
      name: "lease-stuck",
      metric: measured("LeaseHeldFor", { deployment }, "Maximum", soon),
      from: leaseHeldSecondsMax,
      what: `A run was refused because another has held the lease for ${leaseHeldSecondsMax / 3600} hours.`,
      heading: "a-lease-is-stuck",
    },
    {
      name: "validation-failed",
      metric: sum("ValidationFindings"),
      what: "A validation found damage.",
      heading: "a-backup-is-damaged",
    },
  ];
}
