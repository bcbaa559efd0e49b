/** A function of a deployed stack, invoked as a state machine does, without one. */
import type { AwsEndpoint } from "#local/aws-stage.ts";

interface ListedFunctions {
  readonly Functions: readonly { readonly FunctionName: string }[];
}

const version = "2015-03-31";

/**
 * `name` as the stack has it: `BackupPartition`. Returns what the function answered, or
 * `{errorType, errorMessage}` of what it threw.
 */
export async function invokeFunction(
  { endpoint }: AwsEndpoint,
  stackName: string,
  name: string,
  event: unknown,
): Promise<Record<string, unknown>> {
  const functions = `${endpoint}/${version}/functions`;
  const listed = (await (await fetch(`${functions}/`)).json()) as ListedFunctions;
  const prefix = `${stackName}-KafkaBackup${name}`;
  const found = listed.Functions.find(({ FunctionName }) => FunctionName.startsWith(prefix));
  if (found === undefined) throw new Error(`no function ${prefix}… is deployed`);
  const invoked = await fetch(`${functions}/${found.FunctionName}/invocations`, {
    method: "POST",
    body: JSON.stringify(event),
  });
  return (await invoked.json()) as Record<string, unknown>;
}
