/** What a three-phase restore wrote down: `three-phase/{id}/`. */
import type { z } from "zod";
import {
  corrupt,
  documentBytes,
  parseDocument,
  parseState,
  readIfPresent,
} from "#core/catalog/documents.ts";
import { type OffsetPlan, offsetPlan } from "#core/offsets/contract.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import {
  resetApprovalName,
  resetPlanName,
  resetRolledBackName,
  resetSnapshotName,
  threePhaseAbandonedName,
  threePhaseFolder,
  threePhaseIntentName,
  threePhaseReportName,
  threePhaseResetName,
  threePhaseResetsName,
  threePhaseRestoredName,
  threePhaseRunFolder,
  threePhaseSnapshotName,
} from "#core/storage/three-phase-keys.ts";
import { writeOnce } from "#core/storage/write-once.ts";
import {
  type AbandonedThreePhase,
  abandonedThreePhase,
  type ResetApproval,
  type RolledBackReset,
  resetApproval,
  rolledBackReset,
  type SafetySnapshot,
  safetySnapshot,
  type ThreePhaseIntent,
  type ThreePhaseReport,
  type ThreePhaseRestored,
  threePhaseIntent,
  threePhaseReport,
  threePhaseRestored,
} from "#core/three-phase/documents.ts";

/** Readers answer undefined where nothing was written; writers are write-once but for approvals. */
export class ThreePhaseRecord {
  readonly backupId: string;
  readonly id: string;
  readonly #storage: StorageBackend;
  readonly #folder: string;

  constructor(storage: StorageBackend, backupId: string, id: string) {
    this.#storage = storage;
    this.backupId = backupId;
    this.id = id;
    this.#folder = inBackup(backupId, threePhaseRunFolder(id));
  }

  intent(): Promise<ThreePhaseIntent | undefined> {
    return this.#document(threePhaseIntentName, threePhaseIntent);
  }

  writeIntent(intent: ThreePhaseIntent): Promise<void> {
    return this.#write(threePhaseIntentName, intent);
  }

  snapshot(): Promise<SafetySnapshot | undefined> {
    return this.#state(threePhaseSnapshotName, safetySnapshot);
  }

  writeSnapshot(snapshot: SafetySnapshot): Promise<void> {
    return this.#write(threePhaseSnapshotName, snapshot);
  }

  restored(): Promise<ThreePhaseRestored | undefined> {
    return this.#state(threePhaseRestoredName, threePhaseRestored);
  }

  writeRestored(restored: ThreePhaseRestored): Promise<void> {
    return this.#write(threePhaseRestoredName, restored);
  }

  /** Attempts to set offsets so far, whatever became of them. */
  async resetCount(): Promise<number> {
    let resets = 0;
    const folders = this.#storage.listFolders(`${this.#folder}${threePhaseResetsName}`);
    for await (const name of folders) resets = Math.max(resets, Number(name));
    return resets;
  }

  /** `attempt` counts from 1. Where the groups stood when it began. */
  resetSnapshot(attempt: number): Promise<SafetySnapshot | undefined> {
    return this.#state(`${threePhaseResetName(attempt)}${resetSnapshotName}`, safetySnapshot);
  }

  writeResetSnapshot(attempt: number, snapshot: SafetySnapshot): Promise<void> {
    return this.#write(`${threePhaseResetName(attempt)}${resetSnapshotName}`, snapshot);
  }

  plan(attempt: number): Promise<OffsetPlan | undefined> {
    return this.#document(`${threePhaseResetName(attempt)}${resetPlanName}`, offsetPlan);
  }

  writePlan(attempt: number, plan: OffsetPlan): Promise<void> {
    return this.#write(`${threePhaseResetName(attempt)}${resetPlanName}`, plan);
  }

  rolledBack(attempt: number): Promise<RolledBackReset | undefined> {
    return this.#state(`${threePhaseResetName(attempt)}${resetRolledBackName}`, rolledBackReset);
  }

  writeRolledBack(attempt: number, rolledBack: RolledBackReset): Promise<void> {
    return this.#write(`${threePhaseResetName(attempt)}${resetRolledBackName}`, rolledBack);
  }

  /** Of a plan that somebody is asked to approve; the newest question replaces those before it. */
  approval(attempt: number): Promise<ResetApproval | undefined> {
    return this.#document(`${threePhaseResetName(attempt)}${resetApprovalName}`, resetApproval);
  }

  async writeApproval(attempt: number, approval: ResetApproval): Promise<void> {
    await this.#storage.put(this.keyOfApproval(attempt), documentBytes(approval));
  }

  /** All keys here are relative to the storage's root. */
  keyOfApproval(attempt: number): string {
    return `${this.#folder}${threePhaseResetName(attempt)}${resetApprovalName}`;
  }

  keyOfPlan(attempt: number): string {
    return `${this.#folder}${threePhaseResetName(attempt)}${resetPlanName}`;
  }

  keyOfReport(): string {
    return `${this.#folder}${threePhaseReportName}`;
  }

  report(): Promise<ThreePhaseReport | undefined> {
    return this.#document(threePhaseReportName, threePhaseReport);
  }

  writeReport(report: ThreePhaseReport): Promise<void> {
    return this.#write(threePhaseReportName, report);
  }

  /** Finished or given up. */
  async isOver(): Promise<boolean> {
    const names = [threePhaseReportName, threePhaseAbandonedName];
    const found = await Promise.all(
      names.map((name) => this.#storage.head(`${this.#folder}${name}`)),
    );
    return found.some((object) => object !== undefined);
  }

  abandoned(): Promise<AbandonedThreePhase | undefined> {
    return this.#state(threePhaseAbandonedName, abandonedThreePhase);
  }

  writeAbandoned(abandoned: AbandonedThreePhase): Promise<void> {
    return this.#write(threePhaseAbandonedName, abandoned);
  }

  /** Documents that outlive an update of the software have a version. */
  async #document<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const body = await readIfPresent(this.#storage, `${this.#folder}${name}`);
    return body === undefined ? undefined : parseDocument(`${this.#folder}${name}`, body, schema);
  }

  async #state<T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const body = await readIfPresent(this.#storage, `${this.#folder}${name}`);
    return body === undefined ? undefined : parseState(`${this.#folder}${name}`, body, schema);
  }

  #write(name: string, value: unknown): Promise<void> {
    return writeOnce(this.#storage, `${this.#folder}${name}`, documentBytes(value));
  }
}

/** What an earlier step has written. Throws CorruptManifestError where it is not there. */
export function present<T>(
  found: T | undefined,
  { backupId, id }: ThreePhaseRecord,
  what: string,
): T {
  if (found !== undefined) return found;
  const key = inBackup(backupId, threePhaseRunFolder(id));
  throw corrupt(key, `the ${what} is not there, though a step before has written it`);
}

/** Those that were ever begun out of a backup, oldest first (their ids begin with a time). */
export async function threePhasesOf(
  storage: StorageBackend,
  backupId: string,
): Promise<ThreePhaseRecord[]> {
  const records: ThreePhaseRecord[] = [];
  for await (const id of storage.listFolders(inBackup(backupId, threePhaseFolder))) {
    records.push(new ThreePhaseRecord(storage, backupId, id));
  }
  return records;
}
