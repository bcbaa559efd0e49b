import { expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import { openMemory } from "#core/storage/memory.ts";
import {
  openCircuitIfGone,
  throwIfCircuitOpen,
  unlessCircuitOpen,
} from "#core/work-items/circuit.ts";

const key = "orders/state/circuit-open.json";
const open = new BackupError("CircuitOpenError", "the brokers answered nothing");

test("C3 a turn that finds that nothing answers tells all turns after it, which try nothing", async () => {
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

test.each(["BrokerUnavailableError", "StorageUnavailableError", "CircuitOpenError"])(
  "a worker that failed as a whole by %s tells all turns after it",
  async (error) => {
    const storage = openMemory();
    await openCircuitIfGone(storage, key, { error, message: "kafka:9092: ECONNREFUSED" });
    const told = {
      name: "CircuitOpenError",
      message: expect.stringContaining("kafka:9092: ECONNREFUSED"),
    };
    await expect(throwIfCircuitOpen(storage, key)).rejects.toMatchObject(told);
    await expect(unlessCircuitOpen(storage, key, async () => "done")).rejects.toMatchObject(told);
  },
);

test.each(["Runtime.ExitError", "AccessDeniedError", "ThrottledError"])(
  "a worker that failed as a whole by %s stops no other",
  async (error) => {
    const storage = openMemory();
    await openCircuitIfGone(storage, key, { error, message: "" });
    expect(await unlessCircuitOpen(storage, key, async () => "done")).toBe("done");
  },
);
