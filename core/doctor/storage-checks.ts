/**
 * Whether the storage does what backups stand on. It is tried with objects in a folder of this
 * examination's own; `cleanUp` removes them.
 */
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Clock } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";

/** So many writers race for one key: with fewer, a store that looks and then writes may get by. */
const racers = 20;
/** S3 refuses requests that are signed so long before or after its own time (SigV4). */
const skewMsMax = 15 * 60_000;
const skewMsNoticed = 60_000;
/** Stores tell times in whole seconds. */
const precisionMs = 1_000;

/** Where to try, for example `nightly/state/doctor/…/`. */
export interface TriedPlace {
  readonly storage: StorageBackend;
  readonly folder: string;
}

export interface Access {
  readonly canWrite: boolean;
}

/** Every operation that a backup uses, each named where it is refused. */
export async function checkAccess({ storage, folder }: TriedPlace): Promise<Checked<Access>> {
  const key = `${folder}object`;
  const streamed = `${folder}stream`;
  const body = Buffer.from("kafka-backup doctor tries whether this can be stored\n");
  const findings: Found[] = [];
  const step = async <T>(what: string, work: () => Promise<T>, isRight: (seen: T) => boolean) => {
    try {
      if (isRight(await work())) return;
      findings.push(wrongAnswer(storage, what));
    } catch (error) {
      if (!isBackupError(error)) throw error;
      findings.push(refused(what, error));
    }
  };
  await step(
    "create an object",
    () => storage.createIfAbsent(key, body),
    (outcome) => outcome === "created",
  );
  // What was not written cannot be read either: one finding is enough.
  if (findings.length > 0) {
    return { seen: "nothing can be written", findings, value: { canWrite: false } };
  }
  await step(
    "read an object",
    () => storage.get(key),
    (read) => read.equals(body),
  );
  await step(
    "read a part of an object",
    () => storage.getRange(key, 6, 6),
    (read) => read.equals(body.subarray(6, 12)),
  );
  await step(
    "look at an object",
    () => storage.head(key),
    (info) => info?.size === body.length,
  );
  await step(
    "write an object in pieces",
    async () => {
      const writer = await storage.createStream(streamed);
      await writer.write(Buffer.from(body));
      return writer.commit();
    },
    (outcome) => outcome === "created",
  );
  await step(
    "list objects",
    () => keysIn({ storage, folder }),
    (keys) => keys.includes(key) && keys.includes(streamed),
  );
  await step(
    "delete objects",
    async () => {
      await storage.delete([key, streamed]);
      return storage.head(key);
    },
    (left) => left === undefined,
  );
  const seen = findings.length === 0 ? "created, read, listed and deleted objects" : "tried all";
  return { seen, findings, value: { canWrite: true } };
}

/** Leases and commits stand on it: of any number of writers of one key, exactly one wins (C2). */
export async function checkConditionalWrites(place: TriedPlace): Promise<Checked<void>> {
  const { storage, folder } = place;
  const key = `${folder}race`;
  const bodies = Array.from({ length: racers }, (_, i) => Buffer.from(`writer ${i}\n`));
  const outcomes = await Promise.all(bodies.map((body) => storage.createIfAbsent(key, body)));
  const winners = bodies.filter((_, i) => outcomes[i] === "created");
  const stored = await storage.get(key);
  const after = await storage.createIfAbsent(key, Buffer.from("too late\n"));
  const isRight = winners.length === 1 && stored.equals(winners[0]!) && after === "exists";
  const seen = `${winners.length} of ${racers} simultaneous writers of one key won`;
  return { seen, findings: isRight ? [] : [unconditional(place, seen)], value: undefined };
}

/** By the time that the store gives an object: S3's own, a file server's, or this machine's. */
export async function checkClock(
  { storage, folder }: TriedPlace,
  clock: Clock,
): Promise<Checked<void>> {
  const key = `${folder}clock`;
  const beforeMs = clock.nowMs();
  await storage.put(key, Buffer.from("what time is it?\n"));
  const afterMs = clock.nowMs();
  const info = await storage.head(key);
  if (info === undefined) {
    const message = `${storage.url}: an object that was just written is not there`;
    throw new BackupError("StorageUnavailableError", message);
  }
  const aheadMs = Math.max(0, info.lastModifiedMs - afterMs);
  const behindMs = Math.max(0, beforeMs - precisionMs - info.lastModifiedMs);
  const seconds = Math.round(Math.max(aheadMs, behindMs) / 1000);
  const side = aheadMs > 0 ? "ahead of" : "behind";
  const seen =
    seconds === 0
      ? "the clocks of the storage and of this machine agree"
      : `the storage's clock is ${seconds} s ${side} this machine's`;
  const findings = seconds * 1000 < skewMsNoticed ? [] : [clockSkew(seen, seconds * 1000)];
  return { seen, findings, value: undefined };
}

/** Removes what the other checks have stored, also one that was given up. */
export async function cleanUp(place: TriedPlace): Promise<Checked<void>> {
  const left = await keysIn(place);
  try {
    if (left.length > 0) await place.storage.delete(left);
    return { seen: "nothing is left of what was tried", value: undefined };
  } catch (error) {
    if (!isBackupError(error)) throw error;
    const finding: Found = {
      severity: "warning",
      code: "left-behind",
      message: `${left.join(", ")} could not be removed: ${error.message}`,
      remedy: "Remove them by hand; they do no harm.",
    };
    return { seen: `${left.length} objects are left`, findings: [finding], value: undefined };
  }
}

async function keysIn({ storage, folder }: TriedPlace): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list(folder)) keys.push(key);
  return keys;
}

function refused(what: string, { name, message, hint }: BackupError): Found {
  const code = name === "AccessDeniedError" ? "storage-denied" : "storage-failed";
  return { severity: "error", code, message: `cannot ${what}: ${message}`, remedy: hint };
}

function wrongAnswer({ url }: StorageBackend, what: string): Found {
  return {
    severity: "error",
    code: "storage-wrong",
    message: `${url}: to ${what} gives something else than was stored`,
    remedy: "Use another store: this one loses or changes what it is given.",
  };
}

function unconditional({ storage }: TriedPlace, seen: string): Found {
  return {
    severity: "error",
    code: "conditional-writes-ignored",
    message: `${storage.url}: ${seen}; exactly one must, and later ones must be told that it exists`,
    remedy:
      "Use a store (or a version of it) that honours If-None-Match on PUT: without it two runs " +
      "can overwrite each other's commits.",
  };
}

function clockSkew(message: string, skewMs: number): Found {
  return {
    severity: skewMs > skewMsMax ? "error" : "warning",
    code: "clock-skew",
    message,
    remedy:
      "Let NTP set the clock of this machine (or of the file server): S3 refuses what is signed " +
      "more than 15 minutes off, and times in manifests and windows would be wrong.",
  };
}
