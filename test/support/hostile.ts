/** Input as somebody would make it who wants to break a reader, made out of sound input. */
import fc from "fast-check";

/** Values where another was: each of a kind that some reader has stumbled over somewhere. */
export const hostileValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    ...[null, true, false, "", 0, -1, 1.5, 1e21, -1e21, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53],
    ...["9223372036854775807", "9223372036854775808", "-1", "1e9", " 1", "0x10", "NaN"],
    ...["../x", "../../x", "/etc/passwd", "a/../../b", "a\\..\\b", "a\u0000b", ".", ".."],
    ...["topics/../../other/x", "state/", "//", "a//b", "\ud800", "x".repeat(2_000), "\u001b[2J"],
    ...["__proto__", "constructor", "toString", "hasOwnProperty"],
    ...[{}, [], [[]], [null], { length: 2 ** 31 }, JSON.parse('{"__proto__":{"x":1}}')],
  ),
  fc.integer(),
  fc.string({ maxLength: 40 }),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>,
);

export interface JsonChange {
  /** Which of the document's values, as a share of their number. */
  readonly at: number;
  readonly kind: "replace" | "remove" | "repeat" | "rename";
  readonly value: unknown;
}

const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

export const jsonChanges: fc.Arbitrary<JsonChange[]> = fc.array(
  fc.record({
    at: share,
    kind: fc.constantFrom("replace" as const, "replace" as const, "remove", "repeat", "rename"),
    value: hostileValue,
  }) as fc.Arbitrary<JsonChange>,
  { minLength: 1, maxLength: 3 },
);

interface Slot {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

/** A copy of the document with the changes made. */
export function changedJson(document: unknown, changes: readonly JsonChange[]): unknown {
  const root = { document: structuredClone(document) };
  for (const { at, kind, value } of changes) {
    const slots = slotsOf(root);
    const slot = slots[Math.floor(at * slots.length)];
    if (slot === undefined) continue;
    const { holder, key } = slot;
    if (kind === "replace") holder[key] = value;
    else if (kind === "remove") remove(holder, key);
    else if (kind === "repeat") repeat(holder, key);
    else define(holder, `${value}`, holder[key]);
  }
  return root.document;
}

function slotsOf(holder: object): Slot[] {
  return Object.keys(holder).flatMap((key) => {
    const inner = (holder as Record<string, unknown>)[key];
    const slot = { holder: holder as Record<string, unknown>, key };
    return typeof inner === "object" && inner !== null ? [slot, ...slotsOf(inner)] : [slot];
  });
}

function remove(holder: Record<string, unknown>, key: string): void {
  if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else delete holder[key];
}

/** An array gets the item once more; an object stays. */
function repeat(holder: Record<string, unknown>, key: string): void {
  if (Array.isArray(holder)) holder.splice(Number(key), 0, structuredClone(holder[Number(key)]));
}

/** As JSON.parse does, so that a key `__proto__` is a key like any other. */
function define(holder: Record<string, unknown>, key: string, value: unknown): void {
  if (Array.isArray(holder)) return;
  Object.defineProperty(holder, key, {
    value,
    ...{ enumerable: true, configurable: true, writable: true },
  });
}

export interface ByteChange {
  readonly at: number;
  readonly kind: "flip" | "cut" | "insert" | "repeat" | "int32" | "int64";
  readonly value: number;
}

export const byteChanges: fc.Arbitrary<ByteChange[]> = fc.array(
  fc.record({
    at: share,
    kind: fc.constantFrom(
      "flip" as const,
      "flip" as const,
      "cut",
      "insert",
      "repeat",
      "int32",
      "int64",
    ),
    value: fc.oneof(
      fc.constantFrom(0, 1, -1, 7, 127, 128, 255, 2 ** 31 - 1, -(2 ** 31), 61, 65_536),
      fc.integer(),
    ),
  }) as fc.Arbitrary<ByteChange>,
  { minLength: 1, maxLength: 4 },
);

export function changedBytes(bytes: Buffer, changes: readonly ByteChange[]): Buffer {
  let changed = Buffer.from(bytes);
  for (const { at, kind, value } of changes) {
    const position = Math.floor(at * changed.length);
    const [before, after] = [changed.subarray(0, position), changed.subarray(position)];
    const few = Math.abs(value) % 64;
    switch (kind) {
      case "flip":
        if (position < changed.length) changed[position]! ^= 1 << (few % 8);
        break;
      case "cut":
        changed =
          few % 2 === 0 ? Buffer.from(before) : Buffer.concat([before, after.subarray(few)]);
        break;
      case "insert":
        changed = Buffer.concat([before, Buffer.alloc(few, value & 0xff), after]);
        break;
      case "repeat":
        changed = Buffer.concat([before, after.subarray(0, few), after]);
        break;
      case "int32":
        if (after.length >= 4) changed.writeInt32BE(value | 0, position);
        break;
      case "int64":
        if (after.length >= 8) changed.writeBigInt64BE(BigInt(value) << 32n, position);
        break;
    }
  }
  return changed;
}
