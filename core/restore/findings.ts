/** What planning and the checks before the first write have found (R4). */
import { z } from "zod";

/** `error`: the restore is refused; `warning`: the operator should know; `info`: for the record. */
export const severities = ["error", "warning", "info"] as const;

export const finding = z.object({
  severity: z.enum(severities),
  /** Stable, for scripts: `target_not_empty`, `retention_kept`, … */
  code: z.string(),
  /** Target topic, or the source topic before there is a target. */
  topic: z.string(),
  partition: z.int().min(0).optional(),
  message: z.string(),
  /** What the operator can do about it; empty where nothing needs doing. */
  remedy: z.string(),
});
export type Finding = z.infer<typeof finding>;

export function errorsOf(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ severity }) => severity === "error");
}

/** One line, e.g. for an error's message: `orders-3: holds 5 records`. */
export function findingLine({ topic, partition, message }: Finding): string {
  return `${topic}${partition === undefined ? "" : `-${partition}`}: ${message}`;
}
