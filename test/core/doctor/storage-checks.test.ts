import { expect, test } from "vitest";
import {
  checkAccess,
  checkClock,
  checkConditionalWrites,
  cleanUp,
} from "#core/doctor/storage-checks.ts";
import { BackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { systemClock } from "#core/system.ts";
import { withMethods } from "#test/support/catalog-on.ts";
import { collect } from "#test/support/collect.ts";

const folder = "nightly/state/doctor/1/";
const denied = new BackupError("AccessDeniedError", "AccessDenied", { hint: "Grant it." });

const keysOf = async (storage: StorageBackend) =>
  (await collect(storage.list(""))).map(({ key }) => key);

test("a storage that does all that is needed has no findings, and is left as it was", async () => {
  const storage = openMemory();
  await storage.put("nightly/manifest.json", Buffer.from("{}"));
  const place = { storage, folder };
  const checks = [
    await checkAccess(place),
    await checkConditionalWrites(place),
    await checkClock(place, systemClock),
    await cleanUp(place),
  ];
  expect(checks.flatMap(({ findings = [] }) => findings)).toEqual([]);
  expect(checks[1]?.seen).toBe("1 of 20 simultaneous writers of one key won");
  expect(await keysOf(storage)).toEqual(["nightly/manifest.json"]);
});

test("C2: a store whose every writer wins is found", async () => {
  const storage = openMemory();
  const careless = withMethods(storage, {
    async createIfAbsent(key, body) {
      await storage.put(key, body);
      return "created";
    },
  });
  const { seen, findings } = await checkConditionalWrites({ storage: careless, folder });
  expect(seen).toBe("20 of 20 simultaneous writers of one key won");
  expect(findings).toMatchObject([{ severity: "error", code: "conditional-writes-ignored" }]);
});

test("C2: a store that looks before it writes, and writes over what came between, is found", async () => {
  const storage = openMemory();
  const hasty = withMethods(storage, {
    async createIfAbsent(key, body) {
      if ((await storage.head(key)) !== undefined) return "exists";
      await storage.put(key, body);
      return "created";
    },
  });
  const { findings } = await checkConditionalWrites({ storage: hasty, folder });
  expect(findings).toMatchObject([{ code: "conditional-writes-ignored" }]);
});

test("C2: a store that tells two writers that they won is found, whatever it keeps", async () => {
  const storage = openMemory();
  let asked = 0;
  const generous = withMethods(storage, {
    async createIfAbsent(key, body) {
      const outcome = await storage.createIfAbsent(key, body);
      return ++asked === 2 ? "created" : outcome;
    },
  });
  const { seen, findings } = await checkConditionalWrites({ storage: generous, folder });
  expect(seen).toBe("2 of 20 simultaneous writers of one key won");
  expect(findings).toMatchObject([{ code: "conditional-writes-ignored" }]);
});

test.each([
  ["get", "read an object"],
  ["getRange", "read a part of an object"],
  ["head", "look at an object"],
  ["createStream", "write an object in pieces"],
  ["delete", "delete objects"],
] as const)("a denied %s is named, and all else is tried", async (method, what) => {
  const storage = withMethods(openMemory(), { [method]: () => Promise.reject(denied) });
  const { findings, value } = await checkAccess({ storage, folder });
  expect(findings?.[0]).toMatchObject({
    ...{ severity: "error", code: "storage-denied", remedy: "Grant it." },
    message: `cannot ${what}: AccessDenied`,
  });
  expect(value.canWrite).toBe(true);
});

test("a storage that takes nothing has one finding", async () => {
  const storage = withMethods(openMemory(), { createIfAbsent: () => Promise.reject(denied) });
  const { findings, value } = await checkAccess({ storage, folder });
  expect(findings).toMatchObject([{ message: "cannot create an object: AccessDenied" }]);
  expect(value.canWrite).toBe(false);
});

test("a storage that gives back other bytes is found", async () => {
  const storage = withMethods(openMemory(), { get: async () => Buffer.from("something else") });
  const { findings } = await checkAccess({ storage, folder });
  expect(findings).toMatchObject([{ severity: "error", code: "storage-wrong" }]);
});

test("what could not be removed is named", async () => {
  const storage = withMethods(openMemory(), { delete: () => Promise.reject(denied) });
  await checkConditionalWrites({ storage, folder });
  const { findings } = await cleanUp({ storage, folder });
  expect(findings).toMatchObject([
    { severity: "warning", code: "left-behind", message: expect.stringContaining(`${folder}race`) },
  ]);
});

test.each([
  ["ahead of", 5 * 60_000, "warning"],
  ["behind", -5 * 60_000, "warning"],
  ["ahead of", 20 * 60_000, "error"],
  ["behind", -20 * 60_000, "error"],
])("a store whose clock is %s ours by %d ms is a finding: %s", async (side, skewMs, severity) => {
  const storage = openMemory();
  const skewed = withMethods(storage, {
    head: async () => ({ size: 1, lastModifiedMs: systemClock.nowMs() + skewMs }),
  });
  const { findings } = await checkClock({ storage: skewed, folder }, systemClock);
  expect(findings).toMatchObject([
    { severity, code: "clock-skew", message: expect.stringContaining(side) },
  ]);
});
