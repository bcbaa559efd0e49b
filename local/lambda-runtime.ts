/**
 * The loop of a Lambda function that brings its own runtime: takes an invocation from the Runtime
 * API, hands it to the handler that `_HANDLER` names (`FILE.EXPORT`), and posts what it answers.
 * For emulators whose own Node hides an error's name from state machines.
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
 */
import { join } from "node:path";

type Handler = (event: unknown, context: object) => Promise<unknown>;

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime`;

async function loadHandler(): Promise<Handler> {
  const [file, name] = (process.env._HANDLER ?? "").split(".");
  const module = await import(join(import.meta.dirname, `${file}.mjs`));
  return module[name ?? ""];
}

async function post(path: string, body: unknown, headers: Record<string, string> = {}) {
  await fetch(`${api}/${path}`, { method: "POST", headers, body: JSON.stringify(body ?? null) });
}

async function postError(path: string, error: unknown): Promise<void> {
  const { name, message, stack = "" } = error instanceof Error ? error : new Error(String(error));
  const body = { errorType: name, errorMessage: message, trace: stack.split("\n") };
  await post(path, body, { "lambda-runtime-function-error-type": name });
}

function contextOf(requestId: string, headers: Headers): object {
  const { env } = process;
  const deadlineMs = Number(headers.get("lambda-runtime-deadline-ms"));
  return {
    awsRequestId: requestId,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    invokedFunctionArn: headers.get("lambda-runtime-invoked-function-arn"),
    getRemainingTimeInMillis: () => Math.max(0, deadlineMs - Date.now()),
  };
}

async function serveNext(handler: Handler): Promise<void> {
  const invocation = await fetch(`${api}/invocation/next`);
  const requestId = invocation.headers.get("lambda-runtime-aws-request-id") ?? "";
  const event: unknown = await invocation.json();
  const path = `invocation/${requestId}`;
  try {
    const answer = await handler(event, contextOf(requestId, invocation.headers));
    await post(`${path}/response`, answer);
  } catch (error) {
    await postError(`${path}/error`, error);
  }
}

try {
  const handler = await loadHandler();
  for (;;) await serveNext(handler);
} catch (error) {
  await postError("init/error", error);
  process.exitCode = 1;
}
