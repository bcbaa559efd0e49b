/**
 * A backup as one who may rewrite the whole bucket would leave it: sizes and hashes fit what the
 * objects hold by now, so that what is behind their checks is reached.
 */
import { sha256Of } from "#core/catalog/documents.ts";

export type StoredObjects = Map<string, Buffer>;

type Json = Record<string, unknown>;

/** Changes `objects`. Documents that are no JSON stay as they are. */
export function reseal(objects: StoredObjects, backupId: string): void {
  const keys = [...objects.keys()].sort();
  const each = (pattern: RegExp, work: (document: Json, key: string) => void) => {
    for (const key of keys.filter((one) => pattern.test(one.slice(backupId.length + 1)))) {
      const document = parsed(objects.get(key)!);
      if (document === undefined) continue;
      work(document, key);
      objects.set(key, Buffer.from(JSON.stringify(document)));
    }
  };
  const refer = (document: unknown): void => {
    if (typeof document !== "object" || document === null) return;
    for (const inner of Object.values(document)) refer(inner);
    const reference = document as Json;
    const body = objects.get(`${backupId}/${reference.key}`);
    if (typeof reference.key !== "string" || body === undefined) return;
    if (Object.hasOwn(reference, "sha256")) reference.sha256 = sha256Of(body);
    if (Object.hasOwn(reference, "bytes")) reference.bytes = body.length;
    if (Object.hasOwn(reference, "stored_bytes")) reference.stored_bytes = body.length;
    const index = objects.get(`${backupId}/${reference.key.replace(/\.[a-z0-9]+$/, ".index")}`);
    if (!Object.hasOwn(reference, "index_sha256") || index === undefined) return;
    reference.index_sha256 = sha256Of(index);
    reference.index_bytes = index.length;
  };
  each(/^topics\/.*\.index$/, (index, key) => sealFrames(index, objects, key));
  each(/^runs\/[^/]+\/topics\//, refer);
  each(/^runs\/[^/]+\/run\.json$/, refer);
  each(/^manifests\/runs-/, refer);
  let previous: Buffer | undefined;
  for (const key of keys.filter((one) => /\/manifests\/\d+\.json$/.test(one))) {
    const manifest = parsed(objects.get(key)!);
    if (manifest === undefined) continue;
    refer(manifest);
    if (previous !== undefined) manifest.previous_sha256 = sha256Of(previous);
    previous = Buffer.from(JSON.stringify(manifest));
    objects.set(key, previous);
  }
  if (previous !== undefined) objects.set(`${backupId}/manifest.json`, previous);
}

function parsed(body: Buffer): Json | undefined {
  try {
    const value: unknown = JSON.parse(body.toString());
    return typeof value === "object" && value !== null ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

/** The last frame takes what the segment has more or less than it had. */
function sealFrames(index: Json, objects: StoredObjects, key: string): void {
  const { segment, frames } = index;
  const body = objects.get(`${key.slice(0, key.lastIndexOf("/") + 1)}${segment}`);
  if (body === undefined || !Array.isArray(frames)) return;
  for (const frame of frames as (Json | null)[]) {
    if (typeof frame?.position !== "number" || typeof frame.stored_bytes !== "number") continue;
    if (frame === frames.at(-1)) frame.stored_bytes = Math.max(1, body.length - frame.position);
    const stored = body.subarray(frame.position, frame.position + (frame.stored_bytes as number));
    frame.sha256 = sha256Of(stored);
  }
}
