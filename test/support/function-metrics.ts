/** What deployed functions wrote for CloudWatch to read out of their logs (embedded metric format). */
import { emulatorCall } from "#test/support/emulator.ts";
import type { s3ForTests } from "#test/support/s3.ts";

type Emulator = ReturnType<typeof s3ForTests>;

/** One line: metrics by name, their dimensions, and in `_aws` what of it is a metric. */
export interface WrittenMetrics {
  readonly [name: string]: unknown;
  readonly _aws: {
    readonly CloudWatchMetrics: readonly [
      {
        readonly Namespace: string;
        readonly Dimensions: readonly (readonly string[])[];
        readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
      },
    ];
  };
}

interface LogEvent {
  readonly timestamp: number;
  readonly message: string;
}

/** In the order of time, what functions of the stack wrote with a metric of that name. */
export async function metricsOf(
  aws: Emulator,
  stackName: string,
  name: string,
): Promise<WrittenMetrics[]> {
  const call = (action: string, body: object) =>
    emulatorCall(aws, "logs", { target: `Logs_20140328.${action}`, body });
  const messages: LogEvent[] = [];
  for (const logGroupName of await logGroupNames(call)) {
    const { events } = (await call("FilterLogEvents", { logGroupName })) as { events: LogEvent[] };
    messages.push(...events.filter(({ message }) => message.includes(`"${name}":`)));
  }
  return messages
    .toSorted((a, b) => a.timestamp - b.timestamp)
    .flatMap(({ message }) => message.split("\n"))
    .filter((line) => line.includes(`"${name}":`) && line.includes(stackName))
    .map((line) => JSON.parse(line.slice(line.indexOf("{"))));
}

/** Of all metrics of the line, by name. */
export function unitsOf({ _aws }: WrittenMetrics): Record<string, string> {
  const [{ Metrics }] = _aws.CloudWatchMetrics;
  return Object.fromEntries(Metrics.map(({ Name, Unit }) => [Name, Unit]));
}

/** Of all stacks: pages have 50. */
async function logGroupNames(
  call: (action: string, body: object) => Promise<unknown>,
): Promise<string[]> {
  const names: string[] = [];
  for (let from: { nextToken?: string } = {}; ; ) {
    const page = (await call("DescribeLogGroups", from)) as {
      logGroups: { logGroupName: string }[];
      nextToken?: string;
    };
    names.push(...page.logGroups.map(({ logGroupName }) => logGroupName));
    if (page.nextToken === undefined) return names;
    from = { nextToken: page.nextToken };
  }
}
