/** `doctor` on configurations that tests put together. */
import { parseConfig } from "#core/config/parse.ts";
import type { DoctorDeps, DoctorReport } from "#core/doctor/contract.ts";
import { runDoctor } from "#core/doctor/run.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { silentLogger } from "#core/runtime.ts";
import { freeSpaceAt } from "#core/storage/free-space.ts";
import { randomId, systemClock } from "#core/system.ts";
import { noDeadline } from "#test/support/engine.ts";

export interface Examined {
  readonly backup_id: string;
  /** Of a `source`; with `restore` of a `target`. */
  readonly connection: ClusterConfig;
  readonly include: readonly string[];
  readonly storage: object;
  /** Makes it a restore. */
  readonly restore?: object;
}

export function examine(asked: Examined, deps: Partial<DoctorDeps> = {}): Promise<DoctorReport> {
  const { backup_id, connection, include, storage, restore } = asked;
  // Of certificates a configuration holds paths, a connection contents.
  const {
    ssl_ca: _ca,
    ssl_certificate: _certificate,
    ssl_key: _key,
    ...keysOfSection
  } = connection;
  const cluster = { ...keysOfSection, topics: { include } };
  const keys =
    restore === undefined
      ? { mode: "backup", source: cluster }
      : { mode: "restore", target: cluster, restore };
  // JSON is YAML.
  const text = JSON.stringify({ ...keys, backup_id, storage });
  const config = parseConfig(text, { fileName: "doctor.yaml", env: {} });
  const section = restore === undefined ? "source" : "target";
  return runDoctor(
    { clock: systemClock, logger: silentLogger, newId: randomId, freeSpaceAt, ...deps },
    { config, [section]: connection, storage: config.storage },
    noDeadline,
  );
}

/** `error operation-denied: the credentials lack …`, for a look at all at once. */
export function linesOf({ findings }: DoctorReport): string[] {
  return findings.map(({ severity, code, message }) => `${severity} ${code}: ${message}`);
}

export function seenOf({ checks }: DoctorReport, check: string): string | undefined {
  return checks.find((one) => one.check === check)?.seen;
}
