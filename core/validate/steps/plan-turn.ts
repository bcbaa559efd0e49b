/** The planning step: one turn at reading run lists and packing segments into work items. */
import { corrupt } from "#core/catalog/documents.ts";
import { toJson } from "#core/json.ts";
import type { Deadline } from "#core/runtime.ts";
import { inBackup, manifestKey } from "#core/storage/keys.ts";
import {
  validationItemsKey,
  validationPlanFolder,
  validationPlanKey,
} from "#core/storage/validation-keys.ts";
import type { ManifestHistory } from "#core/validate/manifest-history.ts";
import { planValidation } from "#core/validate/plan.ts";
import {
  type PlanPart,
  type PlanTurn,
  planPart,
  type Validation,
  type ValidationDeps,
  type ValidationStart,
} from "#core/validate/steps/contract.ts";
import { SegmentPacker } from "#core/validate/steps/pack.ts";
import { readParts, writePart } from "#core/validate/steps/parts.ts";
import { readStart } from "#core/validate/steps/state.ts";
import { Turn } from "#core/work-items/turn.ts";

interface Planned {
  readonly validation: Validation;
  readonly start: ValidationStart;
  readonly history: ManifestHistory;
}

/** Of a validation that nobody else knows of yet. */
export function planFirstTurn(
  deps: ValidationDeps,
  planned: Planned,
  turnMs: number,
  deadline: Deadline,
): Promise<PlanTurn> {
  return oneTurn(deps, planned, [], new Turn(deps.clock, turnMs, deadline));
}

/**
 * Goes on planning until all runs are read, or `deadline` comes, or the turn is over, `turnMs`
 * after it began; but it reads one run at least. Throws CorruptManifestError where the manifest is not the one any more that was begun with.
 */
export async function planTurn(
  deps: ValidationDeps,
  validation: Validation,
  turnMs: number,
  deadline: Deadline,
): Promise<PlanTurn> {
  const turn = new Turn(deps.clock, turnMs, deadline);
  const parts = await planParts(deps, validation);
  if (isWhole(parts)) return writeItems(deps, validation, parts);
  const start = await readStart(deps.storage, validation);
  const history = await historyOf(deps, validation, start);
  return oneTurn(deps, { validation, start, history }, parts, turn);
}

export function planParts(
  { storage }: Pick<ValidationDeps, "storage">,
  validation: Validation,
): Promise<PlanPart[]> {
  const keyOf = (turn: number) => validationPlanKey(validation, turn);
  return readParts(storage, validationPlanFolder(validation), keyOf, planPart);
}

function isWhole(parts: readonly PlanPart[]): boolean {
  const last = parts.at(-1);
  return last !== undefined && last.cursor === undefined;
}

async function oneTurn(
  deps: ValidationDeps,
  { validation, start, history }: Planned,
  before: readonly PlanPart[],
  turn: Turn,
): Promise<PlanTurn> {
  const { storage, newId } = deps;
  const { backup_id, level } = validation;
  const from = before.reduce((sum, { items }) => sum + items.length, 0);
  const packer = new SegmentPacker({
    ...{ storage, newId, validation, from },
    itemCost: start.item_cost,
  });
  turn.hasMoved(); // Planning asks between runs only, when it has read one.
  const cursor = before.at(-1)?.cursor;
  const request = { backup_id, level, ...(cursor !== undefined && { cursor }) };
  const { status, ...plan } = await packer.whileOpen((add) =>
    planValidation(deps, request, history, add, turn),
  );
  const part: PlanPart = { ...plan, findings: [...plan.findings], items: packer.items };
  const key = validationPlanKey(validation, before.length);
  const isWritten = await writePart(storage, key, part);
  if (status === "continue" || !isWritten)
    return { status: "continue", items: noItems(validation) };
  return writeItems(deps, validation, [...before, part]);
}

function noItems(validation: Validation): PlanTurn["items"] {
  return { key: validationItemsKey(validation), count: 0 };
}

/** The same parts give the same bytes, however often it is done. */
async function writeItems(
  { storage }: ValidationDeps,
  validation: Validation,
  parts: readonly PlanPart[],
): Promise<PlanTurn> {
  const items = parts.flatMap((part) => part.items);
  const key = validationItemsKey(validation);
  await storage.put(key, Buffer.from(toJson(items)));
  return { status: "done", items: { key, count: items.length } };
}

/** What a turn after the first needs of it: older generations were looked at by the first. */
async function historyOf(
  { catalog }: ValidationDeps,
  { backup_id: backupId, generation }: Validation,
  { sha256, manifest_count: manifestCount, findings }: ValidationStart,
): Promise<ManifestHistory> {
  const rest = { backupId, manifestCount, findings, runs: new Map(), pages: new Map() };
  if (generation === 0) return { ...rest, newest: undefined };
  const newest = await catalog.readManifest(backupId, generation);
  if (newest.sha256 === sha256) return { ...rest, newest };
  const key = inBackup(backupId, manifestKey(generation));
  throw corrupt(key, `was changed while it was validated: SHA-256 was ${sha256}`);
}
