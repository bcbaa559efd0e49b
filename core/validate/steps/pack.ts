/**
 * Packs segments into work items in the order in which the plan names them, so that the segments
 * of one large partition are looked at side by side as well.
 */
import type { Manifest } from "#core/catalog/manifest.ts";
import { lineagesOf, sumOfTotals } from "#core/catalog/totals.ts";
import { toJson } from "#core/json.ts";
import type { NewId } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { type ValidationOfBackup, validationItemKey } from "#core/storage/validation-keys.ts";
import type { ValidationLevel } from "#core/validate/findings.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import { Lanes } from "#core/validate/lanes.ts";
import type { ItemDocument, SegmentsOfItem } from "#core/validate/steps/contract.ts";
import { costOfItem, workItemsMax } from "#core/work-items/pack.ts";

/** A segment takes about 750 bytes of its item's document: 4 MB. */
export const segmentsPerItemMax = 5_000;
interface LevelCost {
  /** Of a segment. */
  readonly of: (segment: { readonly stored_bytes: number }) => bigint;
  /** An item of less would be over before its worker has started, which takes a second. */
  readonly itemMin: bigint;
}

/**
 * Shallow: a segment is two HEAD requests, some 500 segments a second with 32 at a time. Deep: a
 * worker reads 75 MB a second, which is Lambda's network; the requests of a small segment take as
 * long as 4 MiB.
 */
const costs: Readonly<Record<ValidationLevel, LevelCost>> = {
  shallow: { of: () => 1n, itemMin: 500n },
  deep: {
    of: ({ stored_bytes }) => BigInt(stored_bytes + 4 * 1024 * 1024),
    itemMin: 75n * 1024n * 1024n,
  },
};

/** How much one item takes, for up to `workers` at a time, by what the manifest counts. */
export function itemCostOf(
  manifest: Manifest | undefined,
  level: ValidationLevel,
  workers: number,
): bigint {
  const { of, itemMin: itemCostMin } = costs[level];
  const states = manifest === undefined ? [] : lineagesOf(manifest).map(({ state }) => state);
  const { segment_count, stored_bytes } = sumOfTotals(states.map(({ totals }) => totals));
  const stored = segment_count === 0 ? 0 : Math.ceil(stored_bytes / segment_count);
  const total = BigInt(segment_count) * of({ stored_bytes: stored });
  return costOfItem(total, { workers, itemCostMin });
}

export interface PackedItems {
  readonly storage: StorageBackend;
  readonly newId: NewId;
  readonly validation: ValidationOfBackup & { readonly level: ValidationLevel };
  readonly itemCost: bigint;
  /** How many items earlier turns have packed. */
  readonly from: number;
}

/** Item documents written at once while the plan reads on. */
const concurrentWrites = 8;

/**
 * Takes the segments of one turn of planning and writes an object for each item as soon as it is
 * full. Objects of two packers never have the same key.
 */
export class SegmentPacker {
  readonly items: SegmentsOfItem[] = [];
  readonly #to: PackedItems;
  readonly #attempt: string;
  readonly #lanes = new Lanes(concurrentWrites);
  #segments: ItemDocument = [];
  #cost = 0n;

  constructor(to: PackedItems) {
    this.#to = to;
    this.#attempt = to.newId();
  }

  /** Hands the packer's `add` to `bring`, and resolves when all is written. */
  async whileOpen<T>(bring: (add: (item: ValidationItem) => Promise<void>) => Promise<T>) {
    return this.#lanes.whileOpen(async () => {
      const brought = await bring((item) => this.#add(item));
      await this.#close();
      return brought;
    });
  }

  async #add({ topic, partition, lineage, segment }: ValidationItem): Promise<void> {
    const cost = costs[this.#to.validation.level].of(segment);
    const isFull =
      this.#cost + cost > this.#to.itemCost || this.#segments.length >= segmentsPerItemMax;
    if (isFull && !this.#isLast()) await this.#close();
    this.#segments.push({ topic, partition, lineage, segment });
    this.#cost += cost;
  }

  /** Totals that were too small, of a damaged manifest, leave all the rest to the last item. */
  #isLast(): boolean {
    return this.#to.from + this.items.length >= workItemsMax - 1;
  }

  async #close(): Promise<void> {
    const segments = this.#segments;
    if (segments.length === 0) return;
    const { storage, validation, from } = this.#to;
    const item = { number: from + this.items.length, attempt: this.#attempt };
    this.items.push({ ...item, segments: segments.length });
    this.#segments = [];
    this.#cost = 0n;
    const key = validationItemKey(validation, item.number, item.attempt);
    await this.#lanes.run(() => storage.put(key, Buffer.from(toJson(segments))));
  }
}
