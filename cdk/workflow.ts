/** A state machine from its file in `statemachines/`, with a role that may do what it names. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ArnFormat, RemovalPolicy, Stack } from "aws-cdk-lib";
import { Policy, PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import type { IFunction } from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import {
  DefinitionBody,
  LogLevel,
  StateMachine,
  StateMachineType,
} from "aws-cdk-lib/aws-stepfunctions";
import { Construct } from "constructs";
import type { AlarmTopic } from "#cdk/alarm-topic.ts";
import { acknowledgePattern } from "#cdk/findings.ts";
import type { Stage } from "#cdk/function-code.ts";

export interface WorkflowProps {
  /** Of the file: `backup` for `backup.asl.json`. */
  readonly name: string;
  readonly stage: Stage;
  /** By what a file calls them: `${PlanBackupFunctionArn}`. Those that it does not name are left. */
  readonly functions: Readonly<Record<string, IFunction>>;
  /** The same of machines that it may start and wait for: `${RestoreStateMachineArn}`. */
  readonly stateMachines?: Readonly<Record<string, StateMachine>>;
  /** Where it tells what a person is asked, `${TopicArn}`. */
  readonly topic: AlarmTopic;
  /** Replaces what the file says of its Distributed Map. */
  readonly maxConcurrency?: number | undefined;
}

const folder = join(import.meta.dirname, "../statemachines");

export class Workflow extends Construct {
  readonly stateMachine: StateMachine;
  readonly role: Role;
  /** Children of the Distributed Map at a time; undefined without a Map. */
  readonly maxConcurrency: number | undefined;

  constructor(scope: Construct, id: string, props: WorkflowProps) {
    super(scope, id);
    const text = readFileSync(join(folder, `${props.name}.asl.json`), "utf8");
    const isNamed = ([name]: readonly [string, unknown]) => text.includes(`\${${name}}`);
    const functions = Object.entries(props.functions).filter(isNamed);
    const nested = Object.entries(props.stateMachines ?? {}).filter(isNamed);
    const definition = JSON.parse(text);
    this.maxConcurrency = withMaxConcurrency(definition, props.maxConcurrency);
    this.role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("states.amazonaws.com"),
      description: `Of the state machine ${props.name}`,
    });
    for (const [, each] of functions) {
      this.role.addToPolicy(
        new PolicyStatement({
          actions: ["lambda:InvokeFunction"],
          resources: [each.functionArn],
        }),
      );
    }
    const tells = isNamed(["TopicArn", undefined]);
    if (tells) props.topic.grantPublish(this.role);
    this.stateMachine = new StateMachine(this, "StateMachine", {
      definitionBody: DefinitionBody.fromString(JSON.stringify(definition)),
      definitionSubstitutions: Object.fromEntries([
        ...functions.map(([name, { functionArn }]) => [name, functionArn]),
        ...nested.map(([name, { stateMachineArn }]) => [name, stateMachineArn]),
        ...(tells ? [["TopicArn", props.topic.topic.topicArn]] : []),
      ]),
      stateMachineType: StateMachineType.STANDARD,
      role: this.role,
      tracingEnabled: true,
      logs: {
        destination: new LogGroup(this, "Logs", {
          retention: RetentionDays.THREE_MONTHS,
          removalPolicy: props.stage === "local" ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN,
        }),
        level: LogLevel.ALL,
        includeExecutionData: true,
      },
    });
    acknowledgePattern(this.role, "*", "X-Ray and the delivery of logs know no resources.");
    if (this.maxConcurrency !== undefined) this.#grantChildren();
    if (nested.length > 0) this.#grantNested(nested.map(([, machine]) => machine));
  }

  /**
   * To start the machines, and to wait for their executions: Step Functions is told of their ends
   * by a rule of its own in EventBridge.
   * https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html
   */
  #grantNested(stateMachines: readonly StateMachine[]): void {
    const executions = stateMachines.map(({ stateMachineName }) =>
      this.#executionsOf(stateMachineName),
    );
    const rule = Stack.of(this).formatArn({
      service: "events",
      resource: "rule",
      resourceName: "StepFunctionsGetEventsForStepFunctionsExecutionRule",
    });
    const nested = new Policy(this, "Nested", {
      roles: [this.role],
      statements: [
        new PolicyStatement({
          actions: ["states:StartExecution"],
          resources: stateMachines.map(({ stateMachineArn }) => stateMachineArn),
        }),
        new PolicyStatement({
          actions: ["states:DescribeExecution", "states:StopExecution"],
          resources: executions,
        }),
        new PolicyStatement({
          actions: ["events:PutTargets", "events:PutRule", "events:DescribeRule"],
          resources: [rule],
        }),
      ],
    });
    // The machine is made with its role, and may be started when it may do all that it does.
    this.stateMachine.node.addDependency(nested);
    for (const each of executions) {
      acknowledgePattern(nested, each, "Names of executions are known only at run time.");
    }
  }

  #executionsOf(stateMachineName: string): string {
    return Stack.of(this).formatArn({
      service: "states",
      resource: "execution",
      resourceName: `${stateMachineName}/*`,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  }

  /**
   * A Distributed Map's children are executions of the same machine. A policy of its own, as the
   * machine itself depends on its role.
   */
  #grantChildren(): void {
    const { stateMachineArn, stateMachineName } = this.stateMachine;
    const executions = this.#executionsOf(stateMachineName);
    const children = new Policy(this, "Children", {
      roles: [this.role],
      statements: [
        new PolicyStatement({ actions: ["states:StartExecution"], resources: [stateMachineArn] }),
        new PolicyStatement({
          actions: ["states:DescribeExecution", "states:StopExecution"],
          resources: [executions],
        }),
      ],
    });
    acknowledgePattern(children, executions, "Names of executions are known only at run time.");
  }
}

interface MapState {
  readonly Type: string;
  MaxConcurrency?: number;
}

/** Of the machine's one Map at the top, where there is one. */
function withMaxConcurrency(
  definition: { readonly States: Record<string, MapState> },
  maxConcurrency: number | undefined,
): number | undefined {
  const map = Object.values(definition.States).find(({ Type }) => Type === "Map");
  if (map !== undefined && maxConcurrency !== undefined) map.MaxConcurrency = maxConcurrency;
  return map?.MaxConcurrency;
}
