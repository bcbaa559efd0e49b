/** What a state machine's Catch hands to the function that writes a failure down. */
import { z } from "zod";

export const failure = z
  .object({ Error: z.string(), Cause: z.string().default("") })
  .transform(({ Error: error, Cause }) => ({ error, message: messageOf(Cause) }));

/** Of a function's error, which comes as JSON; any other cause is plain text. */
function messageOf(cause: string): string {
  try {
    const { errorMessage } = JSON.parse(cause);
    return typeof errorMessage === "string" ? errorMessage : cause;
  } catch {
    return cause;
  }
}
