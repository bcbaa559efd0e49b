/** What format version 1 wrote (test/fixtures/v1), the golden backup above all, in memory. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";

const fixtures = join(import.meta.dirname, "../fixtures/v1");

export type Objects = ReadonlyMap<string, Buffer>;

/** Hexadecimal, null, or the hash of what is long. */
export type ExpectedBytes = string | null | { readonly bytes: number; readonly sha256: string };

export interface ExpectedRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: ExpectedBytes;
  readonly value: ExpectedBytes;
  readonly headers: readonly (readonly [ExpectedBytes, ExpectedBytes])[];
}

/** One life of a partition, as Kafka's own consumer saw it when the backup was made. */
export interface ExpectedPartition {
  readonly topic: string;
  readonly topic_id: string;
  readonly partition: number;
  readonly records: readonly ExpectedRecord[];
}

export interface ExpectedBackup {
  readonly records: readonly ExpectedPartition[];
  /** What was written before the run that was interrupted. */
  readonly open_run: readonly ExpectedPartition[];
}

/** By key. */
export function goldenObjects(): Promise<Objects> {
  return fixtureObjects("backup");
}

/** Of another fixture; what explains a fixture stands in its folder, its objects in folders there. */
export async function fixtureObjects(name: "backup" | "catalog" | "ranges"): Promise<Objects> {
  const folder = join(fixtures, name);
  const objects = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && entry.parentPath !== folder) {
      objects.set(relative(folder, path), await readFile(path));
    }
  }
  return objects;
}

export async function storageOf(objects: Objects): Promise<StorageBackend> {
  const storage = openMemory();
  for (const [key, body] of objects) await storage.put(key, body);
  return storage;
}

export async function goldenRecords(): Promise<ExpectedBackup> {
  return JSON.parse(await readFile(join(fixtures, "backup", "expected.json"), "utf8"));
}

/** The records of a partition's life. Throws where the fixture has none. */
export function lifeOf(
  lives: readonly ExpectedPartition[],
  at: { readonly topic: string; readonly topic_id: string; readonly partition: number },
): readonly ExpectedRecord[] {
  const found = lives.find(
    (life) =>
      life.topic === at.topic && life.topic_id === at.topic_id && life.partition === at.partition,
  );
  if (found === undefined) throw new Error(`nothing is expected of ${JSON.stringify(at)}`);
  return found.records;
}

/** Longer values are expected by their hash. */
const valueBytesMax = 1000;

export function expectedBytes(bytes: Buffer | null): ExpectedBytes {
  if (bytes === null) return null;
  if (bytes.length <= valueBytesMax) return bytes.toString("hex");
  return { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
}

/** A line of `local/java/PrintRecords.java`. */
export function expectedRecord(line: string): ExpectedRecord {
  const [, , offset, timestamp, key, value, headers] = line.split("\t");
  const pairs = headers === "" ? [] : headers!.split(",").map((pair) => pair.split("="));
  return {
    offset: Number(offset),
    timestamp: Number(timestamp),
    key: printedBytes(key!),
    value: printedBytes(value!),
    headers: pairs.map(([name, content]) => [printedBytes(name!), printedBytes(content!)]),
  };
}

/** `LENGTH:HEX` or `null`. */
function printedBytes(text: string): ExpectedBytes {
  if (text === "null") return null;
  return expectedBytes(Buffer.from(text.slice(text.indexOf(":") + 1), "hex"));
}
