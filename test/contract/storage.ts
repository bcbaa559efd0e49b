/** What every StorageBackend does, whatever it keeps objects in. One run per sibling. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ListedObject, ObjectWriter, StorageBackend } from "#core/storage/backend.ts";
import { compareKeys } from "#core/storage/keys.ts";

export interface ContractOptions {
  /**
   * `utf-16`: an emulator that orders keys so, which tells apart only keys with characters beyond
   * U+FFFF. No key of the format has one outside the prefix, which is the same for all of them.
   */
  readonly order?: "utf-8" | "utf-16";
}

/** `open` gives the same, initially empty, place each time: other processes' views of it. */
export function storageContract(
  name: string,
  open: () => Promise<StorageBackend>,
  options: ContractOptions = {},
): void {
  describe(name, () => {
    let storage: StorageBackend;
    let nextFolder = 0;
    /** A folder of each test's own. */
    const newFolder = () => `test-${nextFolder++}/`;

    beforeAll(async () => {
      storage = await open();
    });
    afterAll(() => storage.close());

    describe("whole objects", () => {
      test("come back as they were written, the empty one too", async () => {
        const folder = newFolder();
        for (const size of [0, 1, 100_000]) {
          const body = randomBytes(size);
          expect(await storage.createIfAbsent(`${folder}${size}`, body)).toBe("created");
          expect(await storage.get(`${folder}${size}`)).toEqual(body);
          expect((await storage.head(`${folder}${size}`))?.size).toBe(size);
        }
      });

      test("are written as they were when the call was made", async () => {
        const key = `${newFolder()}reused-buffer`;
        const body = Buffer.from("first");
        await storage.createIfAbsent(key, body);
        body.fill("x");
        expect((await storage.get(key)).toString()).toBe("first");
      });

      test("C2: are not created a second time, with the same content or another", async () => {
        const key = `${newFolder()}object`;
        expect(await storage.createIfAbsent(key, Buffer.from("first"))).toBe("created");
        expect(await storage.createIfAbsent(key, Buffer.from("first"))).toBe("exists");
        expect(await storage.createIfAbsent(key, Buffer.from("second"))).toBe("exists");
        expect((await storage.get(key)).toString()).toBe("first");
      });

      test("C2: 20 creators of one key at once have one winner, whose content stays", async () => {
        const key = `${newFolder()}race`;
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, async (_, i) => ({
            body: `creator ${i}`,
            outcome: await storage.createIfAbsent(key, Buffer.from(`creator ${i}`)),
          })),
        );
        const winners = outcomes.filter(({ outcome }) => outcome === "created");
        expect(winners).toHaveLength(1);
        expect((await storage.get(key)).toString()).toBe(winners[0]?.body);
      });

      test("are replaced by put, whole, whatever readers do meanwhile", async () => {
        const key = `${newFolder()}replaced`;
        const old = Buffer.alloc(200_000, "o");
        const replacement = Buffer.alloc(300_000, "n");
        await storage.put(key, old);
        const [, ...seen] = await Promise.all([
          storage.put(key, replacement),
          ...Array.from({ length: 8 }, () => storage.get(key)),
        ]);
        for (const body of seen) expect(body.equals(old) || body.equals(replacement)).toBe(true);
        expect((await storage.get(key)).equals(replacement)).toBe(true);
      });

      test("are seen by another backend on the same place", async () => {
        const key = `${newFolder()}shared`;
        await storage.put(key, Buffer.from("shared"));
        const other = await open();
        expect((await other.get(key)).toString()).toBe("shared");
        await other.close();
      });

      test("bear the time of their last write", async () => {
        const key = `${newFolder()}dated`;
        await storage.put(key, Buffer.from("1"));
        const written = (await storage.head(key))!.lastModifiedMs;
        expect(Math.abs(Date.now() - written)).toBeLessThan(60_000);
        const [listed] = await all(storage.list(key));
        expect(listed?.lastModifiedMs).toBe(written);
      });
    });

    describe("absent objects", () => {
      test("are named when they are read", async () => {
        const key = `${newFolder()}absent`;
        const expected = { name: "ObjectNotFoundError", message: expect.stringContaining(key) };
        await expect(storage.get(key)).rejects.toMatchObject(expected);
        await expect(storage.getRange(key, 0, 10)).rejects.toMatchObject(expected);
        await expect(storage.getRange(key, 0, 0)).rejects.toMatchObject(expected);
      });

      test("have no head, nor has a folder", async () => {
        const folder = newFolder();
        await storage.put(`${folder}sub/object`, Buffer.from("1"));
        expect(await storage.head(`${folder}absent`)).toBeUndefined();
        expect(await storage.head(`${folder}sub`)).toBeUndefined();
        expect(await storage.head(`${folder}sub/object/below`)).toBeUndefined();
      });

      test("can be deleted, and a deleted object is absent", async () => {
        const folder = newFolder();
        await storage.put(`${folder}a`, Buffer.from("1"));
        await storage.delete([`${folder}a`, `${folder}never-there`, `${folder}no/folder/either`]);
        expect(await storage.head(`${folder}a`)).toBeUndefined();
        expect(await keysOf(storage.list(folder))).toEqual([]);
        await storage.delete([]);
      });

      test("can be created where an object was deleted", async () => {
        const key = `${newFolder()}a/b/c`;
        await storage.createIfAbsent(key, Buffer.from("first"));
        await storage.delete([key]);
        expect(await storage.createIfAbsent(key, Buffer.from("second"))).toBe("created");
        expect((await storage.get(key)).toString()).toBe("second");
      });
    });

    describe("ranges", () => {
      const body = randomBytes(10_000);
      let key: string;

      beforeAll(async () => {
        key = `${newFolder()}ranged`;
        await storage.put(key, body);
      });

      test.each([
        [0, 1],
        [0, 10_000],
        [1234, 4321],
        [9_999, 1],
      ])("from %i, %i bytes", async (position, length) => {
        const range = await storage.getRange(key, position, length);
        expect(range).toEqual(body.subarray(position, position + length));
      });

      test("are shorter where the object ends before", async () => {
        expect(await storage.getRange(key, 9_990, 100)).toEqual(body.subarray(9_990));
        expect(await storage.getRange(key, 10_000, 100)).toHaveLength(0);
        expect(await storage.getRange(key, 20_000, 100)).toHaveLength(0);
        expect(await storage.getRange(key, 5, 0)).toHaveLength(0);
      });

      test("of an empty object are empty", async () => {
        await storage.put(`${key}-empty`, Buffer.alloc(0));
        expect(await storage.getRange(`${key}-empty`, 0, 100)).toHaveLength(0);
      });
    });

    describe("streams", () => {
      test("of 20 MiB in odd pieces come back byte for byte", async () => {
        const key = `${newFolder()}large`;
        const writer = await storage.createStream(key);
        const hash = createHash("sha256");
        let size = 0;
        for (let i = 0; size < 20 * 1024 * 1024; i++) {
          const chunk = randomBytes(1 + ((i * 104_729) % 1_500_000));
          hash.update(chunk);
          size += chunk.length;
          await writer.write(chunk);
        }
        expect(await writer.commit()).toBe("created");
        const stored = await storage.get(key);
        expect(stored.length).toBe(size);
        expect(createHash("sha256").update(stored).digest("hex")).toBe(hash.digest("hex"));
        expect((await storage.getRange(key, size - 5, 10)).equals(stored.subarray(-5))).toBe(true);
      });

      test("of few bytes and of none come back too", async () => {
        const folder = newFolder();
        for (const text of ["", "few"]) {
          const writer = await storage.createStream(`${folder}small${text}`);
          if (text !== "") await writer.write(Buffer.from(text));
          expect(await writer.commit()).toBe("created");
          expect((await storage.get(`${folder}small${text}`)).toString()).toBe(text);
        }
      });

      test("C1: are invisible until they are committed", async () => {
        const folder = newFolder();
        const writer = await storage.createStream(`${folder}invisible`);
        await writer.write(randomBytes(9 * 1024 * 1024));
        await writer.write(randomBytes(9 * 1024 * 1024));
        expect(await storage.head(`${folder}invisible`)).toBeUndefined();
        expect(await keysOf(storage.list(folder))).toEqual([]);
        expect(await all(storage.listFolders(""))).not.toContain(folder.slice(0, -1));
        await writer.commit();
        expect(await keysOf(storage.list(folder))).toEqual([`${folder}invisible`]);
      });

      test("C1: leave nothing when they are aborted, which can be done again", async () => {
        const folder = newFolder();
        for (const size of [10, 9 * 1024 * 1024]) {
          const writer = await storage.createStream(`${folder}aborted-${size}`);
          await writer.write(randomBytes(size));
          await writer.write(randomBytes(size));
          await writer.abort();
          await writer.abort();
          await expect(writer.commit()).rejects.toMatchObject({ name: "InvalidRequestError" });
        }
        expect(await keysOf(storage.list(folder))).toEqual([]);
      });

      test("abort after the commit leaves the object", async () => {
        const key = `${newFolder()}committed`;
        const writer = await storage.createStream(key);
        await writer.write(Buffer.from("kept"));
        await writer.commit();
        await writer.abort();
        expect((await storage.get(key)).toString()).toBe("kept");
      });

      test.each([
        ["small", 100],
        ["multi-part", 9 * 1024 * 1024],
      ])("C2: 5 %s streams on one key have one winner", async (_name, size) => {
        const key = `${newFolder()}stream-race`;
        const bodies = Array.from({ length: 5 }, () => randomBytes(size));
        const writers: ObjectWriter[] = [];
        for (const body of bodies) {
          const writer = await storage.createStream(key);
          await writer.write(body);
          writers.push(writer);
        }
        const outcomes = await Promise.all(writers.map((writer) => writer.commit()));
        expect(outcomes.toSorted()).toEqual(["created", ...Array(4).fill("exists")]);
        const stored = await storage.get(key);
        expect(stored.equals(bodies[outcomes.indexOf("created")]!)).toBe(true);
      });

      test.each([
        ["small", 100],
        ["multi-part", 9 * 1024 * 1024],
      ])("C2: a %s stream does not replace what was created meanwhile", async (_name, size) => {
        const key = `${newFolder()}meanwhile`;
        const writer = await storage.createStream(key);
        await writer.write(randomBytes(size));
        expect(await storage.createIfAbsent(key, Buffer.from("first"))).toBe("created");
        expect(await writer.commit()).toBe("exists");
        expect((await storage.get(key)).toString()).toBe("first");
      });
    });

    describe("listings", () => {
      test("are in the order of UTF-8 bytes", async () => {
        const folder = newFolder();
        // UTF-16 would put the last two the other way round; folders sort with their slash.
        const names = ["A", "a-b", "a.c", "a/b", "a/c/d", "a/é", "a0", "b", "ü", "\uff5e", "😀"];
        if (options.order === "utf-16") names.sort();
        for (const name of names.toReversed()) {
          await storage.put(folder + name, Buffer.from(name));
        }
        const listed = await all(storage.list(folder));
        expect(listed.map(({ key }) => key)).toEqual(names.map((name) => folder + name));
        expect(listed.map(({ size }) => size)).toEqual(names.map((n) => Buffer.byteLength(n)));
      });

      test("hold what starts with the prefix, be it a folder or the start of a name", async () => {
        const folder = newFolder();
        for (const name of ["seg-1", "seg-2", "seg/3", "segment/4", "other/seg"]) {
          await storage.put(folder + name, Buffer.from("1"));
        }
        const listed = async (prefix: string) =>
          (await keysOf(storage.list(folder + prefix))).map((key) => key.slice(folder.length));
        expect(await listed("seg")).toEqual(["seg-1", "seg-2", "seg/3", "segment/4"]);
        expect(await listed("seg/")).toEqual(["seg/3"]);
        expect(await listed("seg-1")).toEqual(["seg-1"]);
        expect(await listed("none/")).toEqual([]);
        expect(await listed("seg-1/")).toEqual([]);
      });

      test("begin after a key, there or not", async () => {
        const folder = newFolder();
        const names = ["a/1", "a/2", "a-b/1", "b/1", "b/2/3"].sort(compareKeys);
        for (const name of names) await storage.put(folder + name, Buffer.from("1"));
        for (const after of [...names, "a", "a/", "a/15", "b/2", "b/2/", "c", " "]) {
          const expected = names.filter((name) => compareKeys(name, after) > 0);
          const listed = await keysOf(storage.list(folder, { after: folder + after }));
          expect(listed, `after ${after}`).toEqual(expected.map((name) => folder + name));
        }
      });

      test("of 1,500 objects go on over all pages, and need not be read to their end", async () => {
        const folder = newFolder();
        const names = Array.from({ length: 1_500 }, (_, i) => `${folder}${i}`).sort(compareKeys);
        for (let i = 0; i < names.length; i += 50) {
          await Promise.all(
            names.slice(i, i + 50).map((name) => storage.put(name, Buffer.from("1"))),
          );
        }
        expect(await keysOf(storage.list(folder))).toEqual(names);
        expect(await keysOf(storage.list(folder, { after: names[1_200]! }))).toEqual(
          names.slice(1_201),
        );
        for await (const { key } of storage.list(folder)) {
          expect(key).toBe(names[0]);
          break;
        }
        await storage.delete(names);
        expect(await keysOf(storage.list(folder))).toEqual([]);
      }, 60_000);

      test("of folders name each once, and none without objects", async () => {
        const folder = newFolder();
        for (const name of ["a/1", "a/2/3", "a-b/1", "file", "gone/1", "é/1"]) {
          await storage.put(folder + name, Buffer.from("1"));
        }
        await storage.delete([`${folder}gone/1`]);
        expect((await all(storage.listFolders(folder))).sort(compareKeys)).toEqual(
          ["a", "a-b", "é"].sort(compareKeys),
        );
        expect(await all(storage.listFolders(`${folder}a/`))).toEqual(["2"]);
        expect(await all(storage.listFolders(`${folder}none/`))).toEqual([]);
        expect(await all(storage.listFolders(""))).toContain(folder.slice(0, -1));
      });
    });

    describe("S2: keys that lead elsewhere are refused by every method:", () => {
      test.each([
        ["the empty key", ""],
        ["the parent", ".."],
        ["below the parent", "../outside"],
        ["up again", "a/../../outside"],
        ["a part that is a dot", "a/./b"],
        ["an absolute path", "/etc/passwd"],
        ["an empty part", "a//b"],
        ["a slash at the end", "a/"],
        ["a backslash", "a\\b"],
        ["a zero byte", "a\u0000b"],
        ["a line feed", "a\nb"],
        ["half a surrogate pair", "\ud800"],
        ["more than 1024 bytes", `${"long/".repeat(250)}key`],
        ["a part of more than 255 bytes", "n".repeat(256)],
      ])("%s", async (_name, key) => {
        const refused = { name: "CorruptManifestError" };
        const one = Buffer.from("1");
        await expect(storage.createIfAbsent(key, one)).rejects.toMatchObject(refused);
        await expect(storage.createStream(key)).rejects.toMatchObject(refused);
        await expect(storage.put(key, one)).rejects.toMatchObject(refused);
        await expect(storage.get(key)).rejects.toMatchObject(refused);
        await expect(storage.getRange(key, 0, 1)).rejects.toMatchObject(refused);
        await expect(storage.head(key)).rejects.toMatchObject(refused);
        await expect(storage.delete(["fine", key])).rejects.toMatchObject(refused);
        if (key === "" || key === "a/") return; // A prefix may be that.
        await expect(all(storage.list(key))).rejects.toMatchObject(refused);
        await expect(all(storage.listFolders(`${key}/`))).rejects.toMatchObject(refused);
      });
    });
  });
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

async function keysOf(items: AsyncIterable<ListedObject>): Promise<string[]> {
  return (await all(items)).map(({ key }) => key);
}
