/** A function of a deployed stack, invoked as a state machine does, without one. */
import type { AwsEndpoint } from "#local/aws-stage.ts";

interface ListedFunctions {
  readonly Functions: readonly { readonly FunctionName: string }[];
  readonly NextMarker?: string;
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
  const functionName = await deployedName(functions, `${stackName}-KafkaBackup${name}`);
  const invoked = await fetch(`${functions}/${functionName}/invocations`, {
    method: "POST",
    body: JSON.stringify(event),
  });
  return (await invoked.json()) as Record<string, unknown>;
}

/** Pages have 50; several stacks have more functions than that. */
async function deployedName(functions: string, prefix: string): Promise<string> {
  for (let marker = ""; ; ) {
    const page = await fetch(`${functions}/?Marker=${encodeURIComponent(marker)}`);
    const { Functions, NextMarker = "" } = (await page.json()) as ListedFunctions;
    const found = Functions.find(({ FunctionName }) => FunctionName.startsWith(prefix));
    if (found !== undefined) return found.FunctionName;
    if (NextMarker === "") throw new Error(`no function ${prefix}… is deployed`);
    marker = NextMarker;
  }
}
