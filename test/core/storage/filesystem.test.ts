import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, readdir, rm, symlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { translateFileError } from "#core/storage/durable-files.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";

const all = await mkdtemp(join(tmpdir(), "kafka-backup-filesystem-"));
let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(all, "root-"));
});
afterAll(() => rm(all, { recursive: true }));

const one = Buffer.from("1");
const unfinished = () => readdir(join(root, ".unfinished"));

async function keysIn(storage: ReturnType<typeof openFilesystem>): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.list("")) keys.push(key);
  return keys;
}

describe("the folder", () => {
  test("is made by the first write, and is empty before", async () => {
    const storage = openFilesystem(join(root, "made/later"));
    expect(await keysIn(storage)).toEqual([]);
    expect(existsSync(join(root, "made"))).toBe(false);
    await storage.put("a/b", one);
    expect(existsSync(join(root, "made/later/a/b"))).toBe(true);
  });

  test("holds objects as plain files, and no leftovers of finished writes", async () => {
    const storage = openFilesystem(root);
    await storage.createIfAbsent("a", one);
    await storage.createIfAbsent("a", one);
    await storage.put("a", one);
    const writer = await storage.createStream("b");
    await writer.write(one);
    await writer.abort();
    expect(await unfinished()).toEqual([]);
    expect((await readdir(root)).sort()).toEqual([".unfinished", "a"]);
  });

  test("loses folders with their last object", async () => {
    const storage = openFilesystem(root);
    await storage.put("a/b/c", one);
    await storage.put("a/d", one);
    await storage.delete(["a/b/c"]);
    expect(existsSync(join(root, "a/b"))).toBe(false);
    await storage.delete(["a/d"]);
    expect(existsSync(join(root, "a"))).toBe(false);
    expect(existsSync(root)).toBe(true);
  });

  test("has its symbolic links neither listed nor followed out of it", async () => {
    const storage = openFilesystem(root);
    await storage.put("a", one);
    await symlink("/etc", join(root, "link"));
    expect(await keysIn(storage)).toEqual(["a"]);
  });
});

describe("C1: a dead process's leftovers", () => {
  test("are never listed, and removed a day later by the next writer", async () => {
    await mkdir(join(root, ".unfinished/claim-old"), { recursive: true });
    await writeFile(join(root, ".unfinished/old"), "half");
    await writeFile(join(root, ".unfinished/young"), "half");
    const twoDaysAgo = Date.now() / 1000 - 2 * 24 * 3600;
    await utimes(join(root, ".unfinished/old"), twoDaysAgo, twoDaysAgo);
    await utimes(join(root, ".unfinished/claim-old"), twoDaysAgo, twoDaysAgo);
    const storage = openFilesystem(root);
    expect(await keysIn(storage)).toEqual([]);
    await storage.put("a", one);
    expect(await keysIn(storage)).toEqual(["a"]);
    expect(await unfinished()).toEqual(["young"]);
  });

  test("cannot be reached by a key", async () => {
    const storage = openFilesystem(root);
    for (const key of [".unfinished", ".unfinished/x"]) {
      await expect(storage.put(key, one)).rejects.toMatchObject({ name: "InvalidRequestError" });
    }
  });
});

describe("a key that is a folder's name", () => {
  test("is refused by name, as is a key below an object", async () => {
    for (const hardLinks of [true, false]) {
      const storage = openFilesystem(join(root, String(hardLinks)), { hardLinks });
      await storage.put("a/b", one);
      const refused = { name: "InvalidRequestError", message: expect.stringContaining("a") };
      await expect(storage.createIfAbsent("a", one)).rejects.toMatchObject(refused);
      await expect(storage.put("a", one)).rejects.toMatchObject(refused);
      await expect(storage.createIfAbsent("a/b/c", one)).rejects.toMatchObject(refused);
      await expect(storage.put("a/b/c", one)).rejects.toMatchObject(refused);
      await expect(storage.get("a")).rejects.toMatchObject({ name: "ObjectNotFoundError" });
      expect(await keysIn(storage)).toEqual(["a/b"]);
    }
  });
});

test("writers and deleters of one folder do not trip over each other", async () => {
  const storage = openFilesystem(root);
  const rounds = Array.from({ length: 60 }, (_, i) => `deep/er/${i}`);
  await Promise.all(
    rounds.map(async (key) => {
      expect(await storage.createIfAbsent(key, one)).toBe("created");
      await storage.delete([key]);
    }),
  );
  expect(await keysIn(storage)).toEqual([]);
});

describe.each([true, false])("C2: creators in 4 threads, hard links %s", (hardLinks) => {
  test("have one winner for each of 50 keys", async () => {
    const source = `
      const { parentPort, workerData } = require("node:worker_threads");
      import(workerData.module).then(async ({ openFilesystem }) => {
        const storage = openFilesystem(workerData.root, { hardLinks: workerData.hardLinks });
        const outcomes = [];
        for (let i = 0; i < 50; i++) {
          outcomes.push(await storage.createIfAbsent("race/" + i, Buffer.from(workerData.name)));
        }
        parentPort.postMessage(outcomes);
      });`;
    const module = new URL("../../../core/storage/filesystem.ts", import.meta.url).href;
    const names = ["w0", "w1", "w2", "w3"];
    const outcomes = await Promise.all(
      names.map(async (name) => {
        const workerData = { module, root, hardLinks, name };
        const worker = new Worker(source, { eval: true, workerData });
        const [result] = (await once(worker, "message")) as [string[]];
        return result;
      }),
    );
    const storage = openFilesystem(root);
    for (let i = 0; i < 50; i++) {
      const winners = names.filter((_, worker) => outcomes[worker]![i] === "created");
      expect(winners).toEqual([(await storage.get(`race/${i}`)).toString()]);
    }
    expect(await unfinished()).toEqual([]);
  });
});

describe("errors of the operating system", () => {
  test("are denied access where nothing may be written", async () => {
    const storage = openFilesystem("/sys/kafka-backup");
    await expect(storage.put("a", one)).rejects.toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringMatching(/a: (EPERM|EACCES|EROFS)/),
    });
  });

  test("are unavailable storage, with a hint, when the disk is full", async () => {
    const full = await open("/dev/full", "w");
    const error = await full.write("x").catch((reason: unknown) => reason);
    await full.close();
    expect(translateFileError(error, "write", "file:///backups", "a/b")).toMatchObject({
      name: "StorageUnavailableError",
      message: "file:///backups: cannot write a/b: ENOSPC",
      hint: expect.stringContaining("Free space"),
    });
  });

  test("are an unusable location when the folder is a file", async () => {
    await writeFile(join(root, "file"), "");
    const storage = openFilesystem(join(root, "file"));
    await expect(storage.put("a", one)).rejects.toMatchObject({ name: "InvalidRequestError" });
  });
});
