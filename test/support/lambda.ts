/** The functions of a deployed stack: listed, and invoked as a state machine does, without one. */
import type { AwsEndpoint } from "#local/aws-stage.ts";

export interface DeployedFunction {
  readonly FunctionName: string;
  readonly Runtime: string;
  readonly Handler: string;
  readonly Architectures: readonly string[];
  readonly Environment: { readonly Variables: Readonly<Record<string, string>> };
}

interface FunctionsPage {
  readonly Functions: readonly DeployedFunction[];
  readonly NextMarker?: string;
}

/** Whose names begin with `prefix`. Pages have 50; several stacks have more functions than that. */
export async function deployedFunctions(
  aws: AwsEndpoint,
  prefix: string,
): Promise<DeployedFunction[]> {
  const found: DeployedFunction[] = [];
  for (let marker = ""; ; ) {
    const page = await fetch(`${urlOfFunctions(aws)}/?Marker=${encodeURIComponent(marker)}`);
    const { Functions, NextMarker = "" } = (await page.json()) as FunctionsPage;
    found.push(...Functions.filter(({ FunctionName }) => FunctionName.startsWith(prefix)));
    if (NextMarker === "") return found;
    marker = NextMarker;
  }
}

/** The one whose file is `name`: `backup-partition`. */
export async function deployedFunction(
  aws: AwsEndpoint,
  stackName: string,
  name: string,
): Promise<DeployedFunction> {
  const all = await deployedFunctions(aws, `${stackName}-`);
  const found = all.find(({ Handler }) => Handler === handlerOf(name));
  if (found === undefined) throw new Error(`no function ${name} of ${stackName} is deployed`);
  return found;
}

/** As the runtime is told it. */
export function handlerOf(name: string): string {
  return `${name}.handler`;
}

/** Returns what the function answered, or `{errorType, errorMessage}` of what it threw. */
export async function invokeFunction(
  aws: AwsEndpoint,
  stackName: string,
  name: string,
  event: unknown,
): Promise<Record<string, unknown>> {
  const { FunctionName } = await deployedFunction(aws, stackName, name);
  const invoked = await fetch(`${urlOfFunctions(aws)}/${FunctionName}/invocations`, {
    method: "POST",
    body: JSON.stringify(event),
  });
  return (await invoked.json()) as Record<string, unknown>;
}

/** From now on. Processes that run the function now are ended, also in the middle of their work. */
export async function configureFunction(
  aws: AwsEndpoint,
  { FunctionName }: Pick<DeployedFunction, "FunctionName">,
  changes: Partial<Pick<DeployedFunction, "Handler" | "Environment">>,
): Promise<void> {
  const answer = await fetch(`${urlOfFunctions(aws)}/${FunctionName}/configuration`, {
    method: "PUT",
    body: JSON.stringify(changes),
  });
  if (!answer.ok) throw new Error(`${FunctionName}: ${answer.status} ${await answer.text()}`);
}

function urlOfFunctions({ endpoint }: AwsEndpoint): string {
  return `${endpoint}/2015-03-31/functions`;
}
