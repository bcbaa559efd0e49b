import { describe, expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { defaultRetryPolicy, retryWith, withRetries } from "#core/storage/retrying.ts";
import { writeOnce } from "#core/storage/write-once.ts";
import { skippingClock } from "#test/support/fake-clock.ts";

const unavailable = () => new BackupError("StorageUnavailableError", "no answer");

/** Fails the first `count` times. */
function failing(count: number, error: () => Error = unavailable) {
  let attempts = 0;
  return async () => {
    attempts++;
    if (attempts <= count) throw error();
    return attempts;
  };
}

describe("a retry", () => {
  test("pauses at random from half of a bound that doubles up to its own bound", async () => {
    const bounds = [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000];
    for (const [random, share] of [
      [0, 0.5],
      [0.25, 0.625],
      [0.75, 0.875],
    ] as const) {
      const clock = skippingClock();
      expect(await retryWith({ clock, random: () => random })(failing(9))).toBe(10);
      expect(clock.slept).toEqual(bounds.map((bound) => bound * share));
    }
  });

  test("outlasts an outage of 16 s, whatever chance says", async () => {
    const clock = skippingClock();
    await expect(retryWith({ clock, random: () => 0 })(failing(10))).rejects.toThrow("no answer");
    expect(clock.slept.reduce((sum, ms) => sum + ms, 0)).toBeGreaterThan(16_000);
  });

  test("ends with the last error when the attempts are used up", async () => {
    const clock = skippingClock();
    const never = retryWith({ clock, random: () => 0 })(failing(Number.POSITIVE_INFINITY));
    await expect(never).rejects.toMatchObject({ name: "StorageUnavailableError" });
    expect(clock.slept).toHaveLength(defaultRetryPolicy.attemptsMax - 1);
  });

  test("ends before a pause that would exceed the total time", async () => {
    const clock = skippingClock();
    const policy = { attemptsMax: 100, firstPauseMs: 1_000, pauseMsMax: 1_000, totalMsMax: 4_500 };
    const retry = retryWith({ clock, policy, random: () => 0.999 });
    await expect(retry(failing(Number.POSITIVE_INFINITY))).rejects.toThrow("no answer");
    expect(clock.slept).toHaveLength(4);
  });

  test("repeats once what took longer than all attempts may, as in a process that was frozen", async () => {
    const clock = skippingClock();
    const failsOnce = failing(1);
    const slow = async () => {
      await clock.sleep(defaultRetryPolicy.totalMsMax + 1);
      return failsOnce();
    };
    expect(await retryWith({ clock })(slow)).toBe(2);
  });

  test("is not for errors that stay", async () => {
    const clock = skippingClock();
    for (const error of [new BackupError("AccessDeniedError", "no"), new TypeError("mistake")]) {
      await expect(retryWith({ clock })(failing(1, () => error))).rejects.toBe(error);
    }
    expect(clock.slept).toEqual([]);
  });

  test("stops pausing when it is cancelled; what needs no repeat still works", async () => {
    const clock = skippingClock();
    const controller = new AbortController();
    const retry = retryWith({ clock, signal: controller.signal });
    controller.abort(new Error("stopped"));
    expect(await retry(failing(0))).toBe(1);
    await expect(retry(failing(1))).rejects.toThrow("no answer");
    expect(clock.slept).toEqual([]);
  });

  test("is interrupted in its pause", async () => {
    const controller = new AbortController();
    const clock = {
      ...skippingClock(),
      sleep: async () => {
        controller.abort(new Error("stopped"));
        controller.signal.throwIfAborted();
      },
    };
    const retry = retryWith({ clock, signal: controller.signal });
    await expect(retry(failing(1))).rejects.toThrow("stopped");
  });
});

/** A storage that does what it is told, then loses the answer of the next `count` calls. */
function losingAnswers(storage: StorageBackend, method: keyof StorageBackend, count = 1) {
  let left = count;
  return new Proxy(storage, {
    get(target, name) {
      const member = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return async (...args: unknown[]) => {
        const result = await member.apply(target, args);
        if (name === method && left-- > 0) throw unavailable();
        return result;
      };
    },
  });
}

const retry = retryWith({ clock: skippingClock() });
const ours = Buffer.from("ours");

describe("C4: a create whose answer was lost", () => {
  test("is created when the object holds what was sent", async () => {
    const memory = openMemory();
    const storage = withRetries(losingAnswers(memory, "createIfAbsent"), retry);
    expect(await storage.createIfAbsent("key", ours)).toBe("created");
    expect((await memory.get("key")).toString()).toBe("ours");
  });

  test("exists when the object holds something else", async () => {
    const memory = openMemory();
    await memory.put("key", Buffer.from("theirs"));
    const storage = withRetries(losingAnswers(memory, "createIfAbsent"), retry);
    expect(await storage.createIfAbsent("key", ours)).toBe("exists");
    expect((await memory.get("key")).toString()).toBe("theirs");
  });

  test("is not mistaken where nothing was lost: the same content exists", async () => {
    const storage = withRetries(openMemory(), retry);
    await storage.createIfAbsent("key", ours);
    expect(await storage.createIfAbsent("key", ours)).toBe("exists");
  });
});

test("a listing that fails goes on after the last object, without doubles", async () => {
  const memory = openMemory();
  const keys = ["a", "b/1", "b/2", "c", "d/1"];
  for (const key of keys) await memory.put(key, ours);
  let failures = 0;
  async function* failingEverySecond<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    let taken = 0;
    for await (const item of items) {
      if (taken++ === 1 && failures++ < 10) throw unavailable();
      yield item;
    }
  }
  const storage = withRetries(
    {
      ...memoryMethods(memory),
      list: (prefix, options) => failingEverySecond(memory.list(prefix, options)),
      listFolders: (prefix) => failingEverySecond(memory.listFolders(prefix)),
    },
    retryWith({ clock: skippingClock(), policy: { ...defaultRetryPolicy, attemptsMax: 100 } }),
  );
  const listed: string[] = [];
  for await (const { key } of storage.list("")) listed.push(key);
  expect(listed).toEqual(keys);
  expect(failures).toBeGreaterThan(2);
  const folders: string[] = [];
  for await (const folder of storage.listFolders("")) folders.push(folder);
  expect(folders.sort()).toEqual(["b", "d"]);
});

function memoryMethods(memory: StorageBackend): StorageBackend {
  return withRetries(memory, (step) => step(1));
}

describe("C2: writing once", () => {
  test("succeeds again with the same bytes and changes nothing", async () => {
    const storage = openMemory();
    await writeOnce(storage, "key", ours);
    await writeOnce(storage, "key", Buffer.from("ours"));
    expect((await storage.get("key")).toString()).toBe("ours");
  });

  test("is a conflict with other bytes, and leaves the first", async () => {
    const storage = openMemory();
    await writeOnce(storage, "key", ours);
    await expect(writeOnce(storage, "key", Buffer.from("others"))).rejects.toMatchObject({
      name: "BackupConflictError",
      message: expect.stringContaining("key"),
    });
    expect((await storage.get("key")).toString()).toBe("ours");
  });
});

test("memory of one name is shared within the process, unnamed memory is not", async () => {
  await openMemory("shared").put("key", ours);
  expect((await openMemory("shared").get("key")).toString()).toBe("ours");
  expect(await openMemory("another").head("key")).toBeUndefined();
  expect(await openMemory().head("key")).toBeUndefined();
});
