import { expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import { openMemory } from "#core/storage/memory.ts";
import { unlessCircuitOpen } from "#core/work-items/circuit.ts";

const key = "orders/state/circuit-open.json";
const open = new BackupError("CircuitOpenError", "the brokers answered nothing");

test("a turn that finds that nothing answers tells all turns after it, which try nothing", async () => {
  const storage = openMemory();
  const stopped = unlessCircuitOpen(storage, key, () => Promise.reject(open));
  await expect(stopped).rejects.toBe(open);
  let tried = false;
  const next = unlessCircuitOpen(storage, key, async () => {
    tried = true;
  });
  await expect(next).rejects.toMatchObject({
    name: "CircuitOpenError",
    message: "the brokers answered nothing",
  });
  expect(tried).toBe(false);
});

test("a turn that fails for any other reason stops no other", async () => {
  const storage = openMemory();
  const failure = new BackupError("BrokerUnavailableError", "one broker");
  const failed = unlessCircuitOpen(storage, key, () => Promise.reject(failure));
  await expect(failed).rejects.toBe(failure);
  expect(await unlessCircuitOpen(storage, key, async () => "done")).toBe("done");
});

test("where it is the storage that is gone, the turn still says so", async () => {
  const storage = openMemory();
  const gone = {
    ...storage,
    put: () => Promise.reject(new BackupError("StorageUnavailableError", "gone")),
    get: (key: string) => storage.get(key),
  };
  await expect(unlessCircuitOpen(gone, key, () => Promise.reject(open))).rejects.toBe(open);
});
