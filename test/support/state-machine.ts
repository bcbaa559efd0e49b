/** Executions of a deployed state machine, and what its Map's children did. */
import { setTimeout as sleep } from "node:timers/promises";
import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  type HistoryEvent,
  ListExecutionsCommand,
  ListMapRunsCommand,
  SFNClient,
  StartExecutionCommand,
} from "@aws-sdk/client-sfn";
import type { AwsEndpoint } from "#local/aws-stage.ts";

export interface Ended {
  readonly arn: string;
  readonly status: string;
  readonly input: Record<string, unknown>;
  /** Of one that succeeded. */
  readonly output: Record<string, unknown>;
  /** Of one that failed. */
  readonly error: string | undefined;
  /** What the function said, or Step Functions itself. */
  readonly message: string;
}

export class TestStateMachine {
  readonly #client: SFNClient;
  readonly #arn: string;

  constructor(aws: AwsEndpoint, arn: string) {
    const { endpoint, region, accessKeyId, secretAccessKey } = aws;
    this.#client = new SFNClient({
      endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
    });
    this.#arn = arn;
  }

  async start(input: unknown): Promise<string> {
    const { executionArn } = await this.#client.send(
      new StartExecutionCommand({ stateMachineArn: this.#arn, input: JSON.stringify(input) }),
    );
    return executionArn!;
  }

  async ended(arn: string): Promise<Ended> {
    for (;;) {
      const found = await this.#client.send(new DescribeExecutionCommand({ executionArn: arn }));
      const { status = "", input = "{}", output = "{}", error, cause = "" } = found;
      if (status !== "RUNNING") {
        const told = { input: JSON.parse(input), output: JSON.parse(output) };
        return { arn, status, ...told, error, message: messageOf(cause) };
      }
      await sleep(200);
    }
  }

  async run(input: unknown): Promise<Ended> {
    return this.ended(await this.start(input));
  }

  /** Whether an execution is of this machine. */
  isOwn(arn: string): boolean {
    return arn.startsWith(`${this.#arn.replace(":stateMachine:", ":execution:")}:`);
  }

  /** ARNs of the machine's executions, whoever started them. */
  async executions(): Promise<string[]> {
    const { executions = [] } = await this.#client.send(
      new ListExecutionsCommand({ stateMachineArn: this.#arn }),
    );
    return executions.map(({ executionArn }) => executionArn!);
  }

  /** In order. */
  async historyOf(arn: string): Promise<HistoryEvent[]> {
    const asked = { executionArn: arn, maxResults: 1_000 };
    const { events = [] } = await this.#client.send(new GetExecutionHistoryCommand(asked));
    return events;
  }

  /** Names of the states that an execution entered, in order. */
  async statesOf(arn: string): Promise<string[]> {
    const events = await this.historyOf(arn);
    return events.flatMap(({ stateEnteredEventDetails }) => stateEnteredEventDetails?.name ?? []);
  }

  /** What the execution handed to a state that it entered. */
  async inputOf(arn: string, state: string): Promise<unknown> {
    const events = await this.historyOf(arn);
    const entered = events.find(({ stateEnteredEventDetails: at }) => at?.name === state);
    return JSON.parse(entered!.stateEnteredEventDetails!.input!);
  }

  /**
   * By child of the execution's Map: how each of its tasks ended, `{"error": NAME}` or what the
   * function answered. (The emulator tells of a child's tasks, and not of its other states.)
   */
  async childrenOf(arn: string): Promise<object[][]> {
    const { mapRuns = [] } = await this.#client.send(new ListMapRunsCommand({ executionArn: arn }));
    const children: object[][] = [];
    for (const { mapRunArn } of mapRuns) {
      const { executions = [] } = await this.#client.send(new ListExecutionsCommand({ mapRunArn }));
      for (const { executionArn } of executions) children.push(await this.#tasksOf(executionArn!));
    }
    return children;
  }

  async #tasksOf(executionArn: string): Promise<object[]> {
    const events = await this.historyOf(executionArn);
    return events.flatMap((event) => {
      const { taskSucceededEventDetails: succeeded, taskFailedEventDetails: failed } = event;
      if (failed !== undefined) return [{ error: failed.error }];
      return succeeded === undefined ? [] : [JSON.parse(succeeded.output!).Payload];
    });
  }

  close(): void {
    this.#client.destroy();
  }
}

function messageOf(cause: string): string {
  try {
    return JSON.parse(cause).errorMessage ?? cause;
  } catch {
    return cause;
  }
}
