/** Fetches within a bound of bytes a second. */
import type { ByteRate } from "#core/byte-rate.ts";
import type { Cluster, FetchedPartition, FetchRequest } from "#core/kafka/cluster.ts";
import type { Clock, Deadline } from "#core/runtime.ts";

export interface PacedDeps {
  readonly cluster: Pick<Cluster, "fetch">;
  readonly clock: Clock;
  readonly byteRate?: ByteRate | undefined;
}

export interface PacedFetch {
  readonly fetched: FetchedPartition;
  /** How long the rate held the request back, before the broker was asked. */
  readonly heldMs: number;
}

/**
 * What `cluster.fetch` answers, once `rate` has room for it; undefined where the deadline came
 * before that. How much comes is not known before, so as much as is asked for is taken and the
 * rest given back; a batch that is larger than that comes whole, and is paid off afterwards.
 */
export async function pacedFetch(
  { cluster, clock, byteRate: rate }: PacedDeps,
  request: FetchRequest,
  deadline: Deadline,
): Promise<PacedFetch | undefined> {
  if (rate === undefined) return { fetched: await cluster.fetch(request), heldMs: 0 };
  const sinceMs = clock.monotonicMs();
  const maxBytes = Math.min(request.maxBytes, rate.burstBytes);
  if (!(await rate.take(maxBytes, deadline))) return undefined;
  const heldMs = clock.monotonicMs() - sinceMs;
  let moved = 0;
  try {
    const fetched = await cluster.fetch({ ...request, maxBytes });
    moved = fetched.records.length;
    return { fetched, heldMs };
  } finally {
    rate.give(maxBytes - moved);
  }
}
