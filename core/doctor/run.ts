/**
 * Examines what a configuration stands on before a run needs it. Kafka is only asked, never written
 * to; the storage is tried with objects that are removed again.
 */
import { openCatalog } from "#core/catalog/open.ts";
import { backupFirstOf, type Config } from "#core/config/schema.ts";
import { checkBackup, checkLease } from "#core/doctor/backup-state.ts";
import type { DoctorDeps, DoctorReport, DoctorRequest } from "#core/doctor/contract.ts";
import { Examination } from "#core/doctor/examination.ts";
import { examineSource } from "#core/doctor/source.ts";
import {
  checkAccess,
  checkClock,
  checkConditionalWrites,
  cleanUp,
  type TriedPlace,
} from "#core/doctor/storage-checks.ts";
import { examineTarget } from "#core/doctor/target.ts";
import type { Ward } from "#core/doctor/ward.ts";
import type { Deadline } from "#core/runtime.ts";
import { doctorFolder } from "#core/storage/doctor-keys.ts";
import { inBackup } from "#core/storage/keys.ts";
import { openStorage } from "#core/storage/open.ts";
import type { RetryPolicy } from "#core/storage/retrying.ts";

/** A hiccup is no finding; an outage is one within seconds. */
const policy: RetryPolicy = {
  attemptsMax: 3,
  firstPauseMs: 200,
  pauseMsMax: 1_000,
  totalMsMax: 5_000,
};

/**
 * Never throws for what it examines: that is in the findings. Throws InvalidRequestError for a
 * configuration that cannot work, and the signal's reason.
 */
export async function runDoctor(
  deps: DoctorDeps,
  request: DoctorRequest,
  { signal }: Deadline,
): Promise<DoctorReport> {
  const { clock, newId, logger } = deps;
  const { config } = request;
  const examination = new Examination(clock, signal);
  const storage = await openStorage(request.storage, { clock, logger, signal, policy });
  const catalog = openCatalog({ storage, clock, newId });
  const closers: (() => Promise<void>)[] = [() => storage.close()];
  try {
    const stored = examination.check("storage", "backup", () => checkBackup(catalog, config));
    const closeLater = (close: () => Promise<void>) => closers.push(close);
    const ward: Ward = { deps, request, examination, storage, catalog, stored, closeLater };
    const folder = inBackup(config.backup_id, doctorFolder(newId()));
    await Promise.all([
      stored,
      examineStorage(ward, { storage, folder }),
      ...examineClusters(ward, config),
    ]);
  } finally {
    await Promise.all(closers.map((close) => close()));
  }
  const { mode, backup_id } = config;
  return { mode, backup_id, storage: storage.url, ...examination.results() };
}

function examineClusters(ward: Ward, config: Config): Promise<unknown>[] {
  const { source, target } = ward.request;
  const { deps, examination, storage } = ward;
  const backup = config.mode === "backup" ? config : backupFirstOf(config);
  const work: Promise<unknown>[] = [];
  if (config.mode === "restore" && target !== undefined) {
    work.push(examineTarget(ward, config, target));
  }
  if (backup !== undefined && source !== undefined) work.push(examineSource(ward, backup, source));
  if (config.mode === "backup") {
    const scope = { backupId: config.backup_id, purpose: "backup" };
    const look = (signal: AbortSignal) => checkLease(storage, scope, deps.clock, signal);
    work.push(examination.check("storage", "lease", look));
  }
  return work;
}

async function examineStorage({ deps, examination }: Ward, place: TriedPlace): Promise<void> {
  const access = await examination.check("storage", "access", () => checkAccess(place));
  if (access === undefined || !access.canWrite) {
    examination.skip("storage", ["conditional-writes", "clock"], "nothing can be written");
    return;
  }
  await examination.check("storage", "conditional-writes", () => checkConditionalWrites(place));
  await examination.check("storage", "clock", () => checkClock(place, deps.clock));
  await examination.check("storage", "clean-up", () => cleanUp(place));
}
