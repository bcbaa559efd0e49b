import type { Catalog, Lease, LeaseScope } from "#core/catalog/catalog.ts";
import type { Clock, Deadline } from "#core/runtime.ts";

/** A third of the time after which a lease that does not move is taken over. */
const renewEveryMs = 10_000;
/** Longer than the time after which a dead holder's lease is taken over, 30 s. */
export const leaseWaitMs = 35_000;

/**
 * Runs `work` while holding the lease and keeps renewing it. When the lease is lost, the deadline
 * handed to `work` aborts with the BackupConflictError. The lease is released at the end; a
 * failure to release costs the next run 30 s and is not an error of this one.
 */
export async function withLease<Result>(
  { catalog, clock }: { catalog: Catalog; clock: Clock },
  scope: LeaseScope,
  deadline: Deadline,
  work: (lease: Lease, deadline: Deadline) => Promise<Result>,
): Promise<Result> {
  const lease = await catalog.acquireLease(scope, leaseWaitMs, deadline.signal);
  try {
    return await keepingLease(lease, clock, deadline, (deadline) => work(lease, deadline));
  } finally {
    await lease.release().catch(() => {});
  }
}

/**
 * The same for a lease that is held already, and that another process of the run goes on holding
 * afterwards: it is not released.
 */
export async function keepingLease<Result>(
  lease: Lease,
  clock: Clock,
  deadline: Deadline,
  work: (deadline: Deadline) => Promise<Result>,
): Promise<Result> {
  const lost = new AbortController();
  const finished = new AbortController();
  const renewing = keepRenewing(lease, clock, finished.signal).catch((error: unknown) => {
    if (!finished.signal.aborted) lost.abort(error);
  });
  const signal = AbortSignal.any([deadline.signal, lost.signal]);
  try {
    return await work({
      signal,
      remainingMs: () => deadline.remainingMs(),
      passed: () => signal.aborted || deadline.passed(),
    });
  } finally {
    finished.abort();
    await renewing;
  }
}

async function keepRenewing(lease: Lease, clock: Clock, finished: AbortSignal): Promise<void> {
  for (;;) {
    await clock.sleep(renewEveryMs, finished);
    await lease.renew();
  }
}
