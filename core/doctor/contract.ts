/** What `doctor` is handed and what it answers. */
import type { Config } from "#core/config/schema.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import type { severities } from "#core/restore/findings.ts";
import type { Clock, Logger, NewId } from "#core/runtime.ts";
import type { FreeSpace } from "#core/storage/free-space.ts";
import type { StorageConfig } from "#core/storage/location.ts";

export interface DoctorDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly newId: NewId;
  /** Of the file system that holds the folder. */
  readonly freeSpaceAt: (folder: string) => Promise<FreeSpace>;
}

/** A configuration with what it refers to: contents of PEM files, AWS variables. */
export interface DoctorRequest {
  readonly config: Config;
  readonly source?: ClusterConfig | undefined;
  readonly target?: ClusterConfig | undefined;
  readonly storage: StorageConfig;
}

/** What a check is about; a restore with `backup_first` has both clusters. */
export const subjects = ["source", "target", "storage"] as const;
export type Subject = (typeof subjects)[number];

/** In the order in which they are reported. */
export const checkNames = [
  ...(["brokers", "cluster", "topics", "restore", "groups", "retention"] as const),
  ...(["access", "conditional-writes", "clock", "clean-up", "backup", "lease", "space"] as const),
] as const;
export type CheckName = (typeof checkNames)[number];

export interface DoctorFinding {
  /** `error`: the command would fail, or has lost data; `warning`: it may; `info`: for the record. */
  readonly severity: (typeof severities)[number];
  /** Stable, for scripts: `advertised-unreachable`, `operation-denied`, … */
  readonly code: string;
  readonly subject: Subject;
  readonly check: CheckName;
  /** What was seen, and where. */
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** A finding as a check makes it. */
export type Found = Pick<DoctorFinding, "severity" | "code" | "message" | "remedy">;

export interface CheckResult {
  readonly subject: Subject;
  readonly check: CheckName;
  /**
   * `found`: done, with errors or warnings; `failed`: not done, a finding says why; `skipped`: not
   * done, as another check failed.
   */
  readonly status: "passed" | "found" | "failed" | "skipped";
  /** One line for people. */
  readonly seen: string;
  readonly duration_ms: number;
}

export interface DoctorReport {
  readonly mode: Config["mode"];
  readonly backup_id: string;
  /** URL of the storage. */
  readonly storage: string;
  readonly checks: readonly CheckResult[];
  readonly findings: readonly DoctorFinding[];
}

/** Whether there is something to do. */
export function needsAttention({ findings }: DoctorReport): boolean {
  return findings.some(({ severity }) => severity !== "info");
}
