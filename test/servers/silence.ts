/** What a storage does behind a connection on which nothing comes any more. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { StorageBackend } from "#core/storage/backend.ts";
import { startFaultProxy } from "#test/support/fault-proxy.ts";

/** `openAt` opens it at `127.0.0.1:PORT`, behind which the server is, with one attempt a call. */
export function givesUpOnSilence(
  serverUrl: string,
  openAt: (address: string) => Promise<StorageBackend>,
): void {
  test("is given up when nothing comes for half a minute, whether or not an answer has begun", async () => {
    const proxy = await startFaultProxy(Number(new URL(serverUrl).port));
    const silent = await openAt(proxy.address);
    const large = randomBytes(20 * 1024 * 1024);
    await silent.put("large", large);
    proxy.set({ kind: "slow", bytesPerSecond: 4 * 1024 * 1024 });
    const begun = silent.get("large");
    await sleep(1_000);
    proxy.set({ kind: "silent" });
    const calls = [begun, silent.get("large"), silent.put("small", Buffer.from("small"))];
    for (const call of await Promise.allSettled(calls)) {
      expect(call).toMatchObject({ reason: { name: "StorageUnavailableError" } });
    }
    proxy.set(undefined);
    expect((await silent.get("large")).equals(large)).toBe(true);
    await proxy.stop();
  }, 90_000);
}
