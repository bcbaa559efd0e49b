/** What a state machine's Catch hands to the function that writes a failure down. */
import { z } from "zod";

const told = z.object({ Error: z.string(), Cause: z.string().default("") });

export const failure = told.transform(failureOf);

/** An execution that another one waited for tells its own error and cause within the cause. */
function failureOf({ Error: error, Cause: cause }: z.output<typeof told>): Failure {
  const parsed = parsedJson(cause);
  const inner = told.safeParse(parsed);
  if (inner.success) return failureOf(inner.data);
  const { errorMessage } = (parsed ?? {}) as { errorMessage?: unknown };
  // Of a function's error, which comes as JSON; any other cause is plain text.
  return { error, message: typeof errorMessage === "string" ? errorMessage : cause };
}

interface Failure {
  readonly error: string;
  readonly message: string;
}

/** Undefined where it is no JSON. */
function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
