/** The S3 emulator that all integration test files of a run share: use random bucket names. */
import { inject, type ProvidedContext } from "vitest";

export function s3ForTests(): ProvidedContext["s3"] {
  return inject("s3");
}
