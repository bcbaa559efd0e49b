/**
 * Repeats what an object store could not do now, for all backends alike: exponential backoff with
 * equal jitter (each pause is random between half of a bound that doubles and all of it), for
 * errors whose class is `backoff` and no others. With pauses from nothing on, an outage of a few
 * seconds would now and then use all attempts up.
 *
 * A call that failed may have taken effect. Reads, `put` and `delete` may simply be done again.
 * A repeated `createIfAbsent` that finds the key taken compares: the same content means that the
 * lost answer was `created` (C4). The pieces of a stream cannot be handed over a second time, so
 * a backend that sends them over a network repeats them itself, with the same `Retry`, and knows
 * its own object by a mark (`s3.ts`); one that does not (a full disk) fails its stream at once.
 */
import { type ServiceWatch, unwatched } from "#core/circuit-breaker.ts";
import { isRetryable } from "#core/errors.ts";
import type { Clock, Logger } from "#core/runtime.ts";
import type { CreateOutcome, ListedObject, StorageBackend } from "#core/storage/backend.ts";

export interface RetryPolicy {
  readonly attemptsMax: number;
  /** Bound of the first pause; each further one is twice the one before. */
  readonly firstPauseMs: number;
  readonly pauseMsMax: number;
  /**
   * No pause begins that would end later than this after the first attempt began, but for the
   * first one: an attempt may take longer by itself, on a slow line or in a process that is frozen.
   */
  readonly totalMsMax: number;
}

/** Bounds of the pauses: 0.1 + 0.2 + ... + 6.4 + 10 + 10 s, some 33 s; half of it at least. */
export const defaultRetryPolicy: RetryPolicy = {
  attemptsMax: 10,
  firstPauseMs: 100,
  pauseMsMax: 10_000,
  totalMsMax: 60_000,
};

export interface RetryDeps {
  readonly clock: Clock;
  /**
   * Ends a pause, and with it the call, with the signal's reason. Once it is aborted each call is
   * still tried once: a run that was cancelled lets go of its lease.
   */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger | undefined;
  /** From 0 to below 1; Math.random when not given. */
  readonly random?: (() => number) | undefined;
  readonly policy?: RetryPolicy | undefined;
  /** Is told of each attempt; ends the repetitions of all calls when the storage is gone. */
  readonly watch?: ServiceWatch | undefined;
}

/** Runs `step` until it succeeds, fails for good, or the policy is used up. Counts from 1. */
export type Retry = <T>(step: (attempt: number) => Promise<T>) => Promise<T>;

export function retryWith(deps: RetryDeps): Retry {
  const { clock, signal, logger, random = Math.random, policy = defaultRetryPolicy } = deps;
  const { watch = unwatched } = deps;
  return async (step) => {
    const startedMs = clock.monotonicMs();
    for (let attempt = 1; ; attempt++) {
      try {
        const result = await step(attempt);
        watch.answered();
        return result;
      } catch (error) {
        watch.failed(error);
        if (!isRetryable(error) || signal?.aborted) throw error;
        const pauseMs = (0.5 + random() / 2) * pauseBoundMs(policy, attempt);
        const late = clock.monotonicMs() - startedMs + pauseMs > policy.totalMsMax;
        if ((late && attempt > 1) || attempt >= policy.attemptsMax) throw watch.gaveUp(error);
        watch.throwIfOpen();
        logger?.debug("storage call will be repeated", { attempt, pauseMs, error });
        await clock.sleep(pauseMs, signal);
      }
    }
  };
}

function pauseBoundMs(policy: RetryPolicy, attempt: number): number {
  return Math.min(policy.pauseMsMax, policy.firstPauseMs * 2 ** (attempt - 1));
}

/** The same storage, each of its calls repeated by `retry`. */
export function withRetries(storage: StorageBackend, retry: Retry): StorageBackend {
  return {
    url: storage.url,
    createIfAbsent: (key, body) => createIfAbsent(storage, retry, key, body),
    createStream: (key) => retry(() => storage.createStream(key)),
    put: (key, body) => retry(() => storage.put(key, body)),
    get: (key) => retry(() => storage.get(key)),
    getRange: (key, position, length) => retry(() => storage.getRange(key, position, length)),
    head: (key) => retry(() => storage.head(key)),
    list: (prefix, options) => list(storage, retry, prefix, options?.after),
    listFolders: (prefix) => listFolders(storage, retry, prefix),
    delete: (keys) => retry(() => storage.delete(keys)),
    close: () => storage.close(),
  };
}

async function createIfAbsent(
  storage: StorageBackend,
  retry: Retry,
  key: string,
  body: Uint8Array,
): Promise<CreateOutcome> {
  let isRepeated = false;
  const outcome = await retry((attempt) => {
    isRepeated = attempt > 1;
    return storage.createIfAbsent(key, body);
  });
  if (outcome === "created" || !isRepeated) return outcome;
  const stored = await retry(() => storage.get(key));
  return stored.equals(body) ? "created" : "exists";
}

/** Goes on after the last object that was handed out. */
async function* list(
  storage: StorageBackend,
  retry: Retry,
  prefix: string,
  firstAfter: string | undefined,
): AsyncGenerator<ListedObject> {
  let after = firstAfter;
  const open = () => iterate(storage.list(prefix, after === undefined ? {} : { after }));
  for await (const object of resumed(retry, open)) {
    after = object.key;
    yield object;
  }
}

/** Begins again and leaves out what was handed out: there are few folders. */
async function* listFolders(
  storage: StorageBackend,
  retry: Retry,
  prefix: string,
): AsyncGenerator<string> {
  const seen = new Set<string>();
  for await (const folder of resumed(retry, () => iterate(storage.listFolders(prefix)))) {
    if (seen.has(folder)) continue;
    seen.add(folder);
    yield folder;
  }
}

/** Items of `open()`; where taking one fails, of another `open()`, which knows where to go on. */
async function* resumed<T>(retry: Retry, open: () => AsyncIterator<T>): AsyncGenerator<T> {
  let items = open();
  try {
    for (;;) {
      const next = await retry((attempt) => {
        if (attempt > 1) items = open();
        return items.next();
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await items.return?.();
  }
}

function iterate<T>(items: AsyncIterable<T>): AsyncIterator<T> {
  return items[Symbol.asyncIterator]();
}
