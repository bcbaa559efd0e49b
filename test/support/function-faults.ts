/** What goes wrong with deployed functions: they wait, are killed, or do not start any more. */
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { AwsEndpoint } from "#local/aws-stage.ts";
import { configureFunction, deployedFunction, handlerOf } from "#test/support/lambda.ts";

export interface FunctionGate {
  /** Resolves when an invocation stands before the gate, which has done nothing yet. */
  readonly arrived: Promise<void>;
  /** From now on invocations pass, those that wait and those that come. */
  open(): void;
  /** Opens it and takes it away; processes of the function are ended. */
  remove(): Promise<void>;
}

const gateModule = join(import.meta.dirname, "function-gate.ts");

/**
 * Lets no invocation of a function begin until it is opened. Five minutes at most: then the process
 * that waits gives up.
 */
export async function gateFunction(
  aws: AwsEndpoint,
  stackName: string,
  name: string,
): Promise<FunctionGate> {
  const waiting: ServerResponse[] = [];
  let isOpen = false;
  const arrived = Promise.withResolvers<void>();
  const server = createServer((_, response) => {
    if (isOpen) response.end();
    else waiting.push(response);
    arrived.resolve();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const deployed = await deployedFunction(aws, stackName, name);
  const { Environment } = deployed;
  const Variables = {
    ...Environment.Variables,
    NODE_OPTIONS: `--import=${gateModule}`,
    FUNCTION_GATE: `http://127.0.0.1:${port}/`,
  };
  await configureFunction(aws, deployed, { Environment: { Variables } });
  const open = () => {
    isOpen = true;
    for (const response of waiting) response.end();
  };
  return {
    arrived: arrived.promise,
    open,
    async remove() {
      open();
      await configureFunction(aws, deployed, { Environment });
      server.close();
      server.closeAllConnections();
    },
  };
}

/** As after a deployment that went wrong: the code has no such handlers, and no repetition helps. */
export async function whileBroken<T>(
  aws: AwsEndpoint,
  stackName: string,
  names: readonly string[],
  work: () => Promise<T>,
): Promise<T> {
  const broken = await Promise.all(names.map((name) => deployedFunction(aws, stackName, name)));
  for (const one of broken) await configureFunction(aws, one, { Handler: `${one.Handler}s` });
  try {
    return await work();
  } finally {
    for (const one of broken) await configureFunction(aws, one, { Handler: one.Handler });
  }
}

/** Ends the processes that run a function, none of which is at work: its next one starts anew. */
export async function restartFunction(
  aws: AwsEndpoint,
  stackName: string,
  name: string,
): Promise<void> {
  const deployed = await deployedFunction(aws, stackName, name);
  await configureFunction(aws, deployed, { Environment: deployed.Environment });
}

/** Sends SIGKILL to the processes that the emulator runs a function of this stack in. */
export async function killFunction(stackName: string, name: string): Promise<void> {
  for (const pid of await processesOf(stackName, name)) signal(pid, "SIGKILL");
}

export interface FrozenFunction {
  wake(): void;
}

/** Sends SIGSTOP to them: others, which start from now on, run. */
export async function freezeFunction(stackName: string, name: string): Promise<FrozenFunction> {
  const pids = await processesOf(stackName, name);
  for (const pid of pids) signal(pid, "SIGSTOP");
  return {
    wake() {
      for (const pid of pids) signal(pid, "SIGCONT");
    },
  };
}

async function processesOf(stackName: string, name: string): Promise<number[]> {
  const ours = [`AWS_LAMBDA_FUNCTION_NAME=${stackName}-`, `_HANDLER=${handlerOf(name)}\n`];
  const found: number[] = [];
  for (const pid of (await readdir("/proc")).filter((entry) => /^\d+$/.test(entry))) {
    const environ = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
    const lines = `\n${environ.replaceAll("\0", "\n")}`;
    if (ours.every((line) => lines.includes(`\n${line}`))) found.push(Number(pid));
  }
  return found;
}

/** Nothing where it has ended. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
