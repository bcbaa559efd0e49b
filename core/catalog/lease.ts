/**
 * The lease, out of nothing but create-if-absent, list and delete.
 *
 *     state/lease/{purpose}/{token, 20 digits}.json
 *
 * The object with the greatest token says who holds the lease; taking it, proving that one still
 * holds it (`renew`) and letting go of it (`release`) each *move* it: create the object of the
 * next token. An object never changes. No two machines' clocks are ever compared (C7): a lease is
 * taken over when an observer saw the same greatest token for 30 s of its own clock.
 *
 * Why two never hold it. Let M be the greatest token that exists.
 *
 * 1. M never falls. A token is deleted only by a process that has seen a greater one, so at no
 *    moment is the greatest one deleted. This holds however late a delete arrives.
 * 2. Who creates token t, and then lists and finds t to be M, raised M to t by that creation: had
 *    M been t or more before, then by (1) the listing would show more than t, or the creation would
 *    have found t. Call such a creation *valid*. The listing is needed: a paused process may
 *    create a token that others have passed and swept long since.
 * 3. Each t has at most one valid creation: create-if-absent lets one process have it while it
 *    exists, and it is deleted only when M is greater, after which (2) rules it out.
 * 4. A process moves only to the token after the greatest that it knows, so valid tokens follow
 *    one another without holes, and a holder of t that moves validly to t+1 knows that nobody
 *    held the lease in between. Hence the tokens of two holders never interleave, and once
 *    another has taken t+1, the former holder's next move fails: either t+1 exists and bears
 *    another's name, or it was swept and the listing shows a greater token.
 * 5. Several processes may hold a lease as one owner (`continueLease`). An owner's valid tokens are
 *    one unbroken series: it begins with `acquireLease`, which no other process of the owner calls,
 *    and by (4) ends for good when another takes it. M is always valid, for a creation that is not
 *    creates a token below M (2). So the owner holds the lease exactly while M bears its name and
 *    is not released, whichever of its processes moved it there, and that is what a move looks
 *    for.
 *
 * What a frozen process (SIGSTOP, a stalled VM) may do between a successful renew and its next
 * write is not for a lease to prevent. Everything it could write is created only if absent: its
 * segments have keys of their own, its checkpoints and its manifest find the key taken (C5).
 *
 * Interleavings that cost time but never safety:
 * - Two observers see a still lease and both create t+1: one is told that it exists, lists again,
 *   sees that the lease moved, and gives up.
 * - The holder moves between an observer's last look and its creation: the observer finds t+1.
 * - A creation's answer is lost: the object bears the creator's owner id, which no other process
 *   has, so it knows its own when it meets it.
 * - A request that was given up lands late. Below M it is swept. As M + 1 it makes the holder
 *   believe that it lost, and the lease rests until it has been still for 30 s.
 * - A process dies between creating and checking: the same 30 s.
 *
 * Assumed of the store: create-if-absent is atomic, and a listing shows the keys as they stood at
 * one moment between its request and its answer (S3 since December 2020; a directory of a few
 * entries). The two newest objects are kept, so even a listing that is torn by a move (sees
 * neither the new object nor the old) finds one, unless the lease moved twice meanwhile.
 */
import pLimit from "p-limit";
import { z } from "zod";
import type { Lease, LeaseHolder, LeaseScope } from "#core/catalog/catalog.ts";
import { documentBytes, parseState, readIfPresent } from "#core/catalog/documents.ts";
import { BackupError, isBackupError, isRetryable } from "#core/errors.ts";
import { int64 } from "#core/json.ts";
import type { Clock, Logger, NewId } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, leaseFolder, leaseKey, parseLeaseKey } from "#core/storage/keys.ts";

/**
 * A holder renews every 10 s and may fail twice in a row. Long enough for an object store's
 * retries, short enough that a run after a crash starts within the minute.
 */
export const leaseTtlMs = 30_000;
/** How often an observer looks: 15 listings to take over a dead lease. */
const pollMs = 2_000;

const leaseRecord = z.object({
  /** Unguessable, of one acquisition. */
  owner: z.string(),
  purpose: z.string(),
  /** By the holder's clock, Unix milliseconds; for messages only. */
  acquired_at: int64,
  /** True where the holder let go: the next token is free to take at once. */
  released: z.boolean(),
});
type LeaseRecord = z.infer<typeof leaseRecord>;

export interface LeaseDeps {
  readonly storage: StorageBackend;
  readonly clock: Clock;
  readonly newId: NewId;
  /** Told when a lease has to be waited for. */
  readonly logger?: Logger;
}

/** A lease that others hold or take is a BackupConflictError, whose message says whose and why. */
export async function acquireLease(
  { storage, clock, newId, logger }: LeaseDeps,
  scope: LeaseScope,
  waitMs: number,
  signal: AbortSignal,
): Promise<Lease> {
  const place = { storage, scope };
  const record: LeaseRecord = {
    owner: newId(),
    purpose: scope.purpose,
    acquired_at: BigInt(clock.nowMs()),
    released: false,
  };
  const startedMs = clock.monotonicMs();
  let seen: { token: number; sinceMs: number } | undefined;
  let lostAt: number | undefined;
  for (;;) {
    signal.throwIfAborted();
    // Still from the answer that showed this token first until at least this question.
    const askedMs = clock.monotonicMs();
    const { token, record: holder } = await newestMove(place);
    const isFree = token === 0 || holder?.released === true;
    if (!isFree && seen !== undefined && seen.token !== token) {
      throw heldByOther(scope, token, holder, "and was seen to move");
    }
    const isFirstLook = seen === undefined;
    seen ??= { token, sinceMs: clock.monotonicMs() };
    const isDead = askedMs - seen.sinceMs >= leaseTtlMs;
    if ((isFree || isDead) && lostAt !== token) {
      const taken = await move(place, token + 1, record);
      if (taken !== undefined) return new HeldLease(place, record, taken);
      lostAt = token; // Whoever was faster shows in the next listing.
      continue;
    }
    if (clock.monotonicMs() - startedMs + pollMs > waitMs) {
      throw heldByOther(scope, token, holder, `and was not still for 30 s within ${waitMs} ms`);
    }
    if (isFirstLook) tellOfWaiting(logger, scope, holder);
    await clock.sleep(pollMs, signal);
  }
}

/** The lease that another process of the same owner holds or has held. */
export async function continueLease(
  storage: StorageBackend,
  scope: LeaseScope,
  holder: LeaseHolder,
): Promise<Lease> {
  const place = { storage, scope };
  const { token, record } = await newestMove(place);
  if (!isHeldBy(record, holder.owner)) {
    throw heldByOther(scope, token, record, `and not by this run's owner ${holder.owner} any more`);
  }
  const lease = new HeldLease(place, record, token);
  await lease.renew();
  return lease;
}

/** Where a lease stands, for people to see; nothing is to be decided by it. */
export interface LeaseStanding {
  readonly token: number;
  /** By the holder's clock, Unix milliseconds; undefined where its object cannot be understood. */
  readonly heldSince: bigint | undefined;
}

/** Undefined where nobody holds it. */
export async function lookAtLease(
  storage: StorageBackend,
  scope: LeaseScope,
): Promise<LeaseStanding | undefined> {
  const { token, record } = await newestMove({ storage, scope });
  if (token === 0 || record?.released === true) return undefined;
  return { token, heldSince: record?.acquired_at };
}

/** Half a minute without a word looks like a program that hangs. */
function tellOfWaiting(
  logger: Logger | undefined,
  { backupId, purpose }: LeaseScope,
  holder: LeaseRecord | undefined,
): void {
  const since = holder === undefined ? "" : ` since ${isoTime(holder.acquired_at)}`;
  logger?.info(
    `another run holds the lease "${purpose}" of backup "${backupId}"${since}; ` +
      `waiting ${leaseTtlMs / 1000} s to see whether it is alive`,
  );
}

/** Held until `release`, or until a move finds that somebody else has moved it. */
class HeldLease implements Lease {
  readonly #place: LeasePlace;
  readonly #record: LeaseRecord;
  /** A heartbeat and a caller about to commit may both renew: one move at a time. */
  readonly #oneAtATime = pLimit(1);
  #token: number;
  #state: "held" | "lost" | "released" = "held";

  constructor(place: LeasePlace, record: LeaseRecord, token: number) {
    this.#place = place;
    this.#record = record;
    this.#token = token;
  }

  get token(): number {
    return this.#token;
  }

  get holder(): LeaseHolder {
    return { owner: this.#record.owner, token: this.#token };
  }

  renew(): Promise<void> {
    return this.#oneAtATime(async () => {
      if (this.#state === "held") await this.#move(this.#record);
      if (this.#state !== "held") throw await this.#notHeld();
    });
  }

  release(): Promise<void> {
    return this.#oneAtATime(async () => {
      if (this.#state === "held") await this.#move({ ...this.#record, released: true });
      if (this.#state === "held") this.#state = "released";
    });
  }

  async #move(record: LeaseRecord): Promise<void> {
    const reached = await move(this.#place, this.#token + 1, record);
    if (reached === undefined) this.#state = "lost";
    else this.#token = reached;
  }

  async #notHeld(): Promise<BackupError> {
    const { scope } = this.#place;
    const { token, record } = await newestMove(this.#place);
    const how = this.#state === "lost" ? "taken over from" : "released by";
    return heldByOther(scope, token, record, `and was ${how} this owner, ${this.#record.owner}`);
  }
}

interface LeasePlace {
  readonly storage: StorageBackend;
  readonly scope: LeaseScope;
}

/**
 * Creates the object of `token`, or of the next one that is not there: other processes of this
 * owner may have been faster, and its own earlier attempts may have lost their answers. The token
 * that the lease is at now, or undefined when it is not this owner's any more.
 */
async function move(
  place: LeasePlace,
  token: number,
  record: LeaseRecord,
): Promise<number | undefined> {
  const { storage } = place;
  for (let next = token; ; ) {
    const outcome = await storage.createIfAbsent(keyOf(place, next), documentBytes(record));
    const isCreated = outcome === "created";
    const newest = await newestMove(place, isCreated ? { token: next, record } : undefined);
    const isNewest = isCreated && newest.token === next;
    if (!isNewest && !isHeldBy(newest.record, record.owner)) {
      if (isCreated && newest.token > next) await storage.delete([keyOf(place, next)]);
      return undefined;
    }
    const swept = newest.tokens.filter((other) => other < newest.token - 1);
    if (swept.length > 0) await sweep(place, swept);
    // Where another process of the owner has moved on, a renewal is done, a release is not.
    if (isNewest || (isCreated && !record.released)) return newest.token;
    next = newest.token + 1;
  }
}

/** What cannot be removed now is left for the next move: the lease is held all the same. */
async function sweep(place: LeasePlace, tokens: readonly number[]): Promise<void> {
  try {
    await place.storage.delete(tokens.map((token) => keyOf(place, token)));
  } catch (error) {
    if (!isRetryable(error)) throw error;
  }
}

function isHeldBy(record: LeaseRecord | undefined, owner: string): record is LeaseRecord {
  return record !== undefined && record.owner === owner && !record.released;
}

interface NewestMove {
  /** 0 where the lease was never taken. */
  readonly token: number;
  /** Undefined where it cannot be understood. */
  readonly record: LeaseRecord | undefined;
  /** All that there are, ascending. */
  readonly tokens: readonly number[];
}

/** The greatest token and its object; `own` is one that the caller knows. */
async function newestMove(
  place: LeasePlace,
  own?: { readonly token: number; readonly record: LeaseRecord },
): Promise<NewestMove> {
  for (;;) {
    const tokens = await listTokens(place);
    const token = tokens.at(-1) ?? 0;
    if (token === 0) return { token, record: undefined, tokens };
    if (token === own?.token) return { token, record: own.record, tokens };
    const found = await readRecord(place, token);
    // Swept since the listing, so by now there is a greater one.
    if (found === "absent") continue;
    return { token, record: found, tokens };
  }
}

/** Ascending. */
async function listTokens({ storage, scope }: LeasePlace): Promise<number[]> {
  const root = inBackup(scope.backupId, "");
  const folder = leaseFolder(scope.purpose);
  const tokens: number[] = [];
  for await (const { key } of storage.list(`${root}${folder}`)) {
    const token = parseLeaseKey(key.slice(root.length));
    const isOurs = token !== undefined && key === keyOf({ storage, scope }, token);
    if (isOurs) tokens.push(token);
  }
  return tokens;
}

/** One that cannot be understood is undefined: another's, and taken over when it is still. */
async function readRecord(
  place: LeasePlace,
  token: number,
): Promise<LeaseRecord | "absent" | undefined> {
  const key = keyOf(place, token);
  const body = await readIfPresent(place.storage, key);
  if (body === undefined) return "absent";
  try {
    return parseState(key, body, leaseRecord);
  } catch (error) {
    if (isBackupError(error, "CorruptManifestError")) return undefined;
    throw error;
  }
}

function keyOf({ scope }: LeasePlace, token: number): string {
  return inBackup(scope.backupId, leaseKey(scope.purpose, token));
}

/** Ends with what became of it: "and was seen to move". */
function heldByOther(
  { backupId, purpose }: LeaseScope,
  token: number,
  holder: LeaseRecord | undefined,
  outcome: string,
): BackupError {
  const who =
    holder === undefined
      ? "an unknown owner"
      : `owner ${holder.owner} (${holder.purpose}), ` +
        `since ${isoTime(holder.acquired_at)} by that owner's clock`;
  return new BackupError(
    "BackupConflictError",
    `lease "${purpose}" of backup "${backupId}" is at token ${token}, held by ${who}, ${outcome}; ` +
      "a dead run's lease is taken over after 30 s",
    {
      details: {
        ...{ backup_id: backupId, purpose, token },
        ...(holder && { owner: holder.owner, acquired_at: holder.acquired_at }),
      },
    },
  );
}

function isoTime(ms: bigint): string {
  const time = new Date(Number(ms));
  return Number.isNaN(time.getTime()) ? `${ms} ms` : time.toISOString();
}
