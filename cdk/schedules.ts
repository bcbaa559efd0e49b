/** What starts a deployment's state machines by itself. */
import { Duration, Stack, TimeZone } from "aws-cdk-lib";
import { Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  Schedule,
  ScheduleExpression,
  ScheduleTargetInput,
  TimeWindow,
} from "aws-cdk-lib/aws-scheduler";
import { StepFunctionsStartExecution } from "aws-cdk-lib/aws-scheduler-targets";
import { Queue, QueueEncryption } from "aws-cdk-lib/aws-sqs";
import type { IStateMachine } from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import { acknowledgeRule } from "#cdk/findings.ts";
import { pascalCase } from "#cdk/names.ts";
import type { Schedule as WantedSchedule } from "#core/config/schedules.ts";

export interface SchedulesProps {
  readonly schedules: readonly WantedSchedule[];
  readonly backup: IStateMachine;
  readonly validate: IStateMachine;
}

/**
 * An execution that could not be started is tried again for an hour, then its event is kept in
 * the queue, which raises an alarm. A late one does no harm: it makes the run that is due, or it
 * finds one under way and skips.
 */
const retries = { maxEventAge: Duration.hours(1), retryAttempts: 20 };
/** SQS keeps no message for longer. */
const keepUnstarted = Duration.days(14);

export class Schedules extends Construct {
  /** Events that did not become executions; undefined without schedules. */
  readonly unstarted: Queue | undefined;
  readonly #props: SchedulesProps;
  readonly #roles = new Map<IStateMachine, Role>();

  constructor(scope: Construct, id: string, props: SchedulesProps) {
    super(scope, id);
    this.#props = props;
    if (props.schedules.length === 0) return;
    this.unstarted = new Queue(this, "Unstarted", {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: keepUnstarted,
    });
    acknowledgeRule(this.unstarted, "SQS3", "It is itself where undelivered events are kept.");
    for (const schedule of props.schedules) this.#add(schedule, this.unstarted);
  }

  #add(wanted: WantedSchedule, deadLetterQueue: Queue): void {
    const { name, expression, timezone, validate } = wanted;
    const isBackup = validate === undefined;
    const machine = isBackup ? this.#props.backup : this.#props.validate;
    const target = new StepFunctionsStartExecution(machine, {
      role: this.#roleFor(machine, isBackup ? "Backup" : "Validate"),
      input: ScheduleTargetInput.fromObject(inputOf(wanted)),
      deadLetterQueue,
      ...retries,
    });
    new Schedule(this, pascalCase(name), {
      description: `${isBackup ? "Continues" : `Validates (${validate})`} backup ${wanted.backup_id}`,
      schedule: ScheduleExpression.expression(
        expression,
        timezone === undefined ? undefined : TimeZone.of(timezone),
      ),
      timeWindow: TimeWindow.off(),
      target,
    });
  }

  /** One for each machine: it may start that one and keep what could not be started (S6). */
  #roleFor(machine: IStateMachine, id: string): Role {
    const known = this.#roles.get(machine);
    if (known !== undefined) return known;
    const { account } = Stack.of(this);
    const role = new Role(this, `${id}Role`, {
      assumedBy: new ServicePrincipal("scheduler.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": account } },
      }),
      description: `Of the schedules of ${id.toLowerCase()}s`,
    });
    this.#roles.set(machine, role);
    return role;
  }
}

/** As statemachines/README.md describes what the machines take. */
function inputOf({ backup_id, topics, validate }: WantedSchedule): object {
  if (validate !== undefined) return { backup_id, level: validate };
  return { backup_id, ...(topics !== undefined && { topics }), if_running: "skip" };
}
