/** A lease in the bucket, looked at and taken as others do. */
import type { Catalog, LeaseHolder, LeaseScope } from "#core/catalog/catalog.ts";
import { documentBytes } from "#core/catalog/documents.ts";
import { keepingLease } from "#core/catalog/with-lease.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, leaseFolder, leaseKey, parseLeaseKey } from "#core/storage/keys.ts";
import { randomId, systemClock } from "#core/system.ts";
import { collect } from "#test/support/collect.ts";
import { noDeadline } from "#test/support/engine.ts";

/** Ascending; none where it was never taken. */
export async function leaseTokens(
  storage: StorageBackend,
  { backupId, purpose }: LeaseScope,
): Promise<number[]> {
  const root = inBackup(backupId, "");
  const objects = await collect(storage.list(`${root}${leaseFolder(purpose)}`));
  return objects.map(({ key }) => parseLeaseKey(key.slice(root.length))!);
}

/** Who moved it last. */
export async function leaseHolder(
  storage: StorageBackend,
  scope: LeaseScope,
): Promise<LeaseHolder> {
  const token = Math.max(...(await leaseTokens(storage, scope)));
  const key = inBackup(scope.backupId, leaseKey(scope.purpose, token));
  const { owner } = JSON.parse((await storage.get(key)).toString());
  return { owner, token };
}

/** Goes on moving the lease in its holder's name while `work` lasts, whatever the holder does. */
export async function whileLeaseMoves<T>(
  { storage, catalog }: { readonly storage: StorageBackend; readonly catalog: Catalog },
  scope: LeaseScope,
  work: () => Promise<T>,
): Promise<T> {
  const lease = await catalog.continueLease(scope, await leaseHolder(storage, scope));
  return keepingLease(lease, systemClock, noDeadline, work);
}

/** As another owner does that has seen the lease rest for 30 s. */
export async function takeOver(storage: StorageBackend, scope: LeaseScope): Promise<LeaseHolder> {
  const owner = randomId();
  const record = documentBytes({
    ...{ owner, purpose: scope.purpose },
    acquired_at: BigInt(Date.now()),
    released: false,
  });
  for (;;) {
    const token = Math.max(0, ...(await leaseTokens(storage, scope))) + 1;
    const key = inBackup(scope.backupId, leaseKey(scope.purpose, token));
    if ((await storage.createIfAbsent(key, record)) === "created") return { owner, token };
  }
}
