import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeFully } from "#core/storage/durable-files.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "durable-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** What is in a file after `chunks` were written to it, at most `bytesMax` in one call. */
async function written(chunks: readonly Uint8Array[], bytesMax: number): Promise<Buffer> {
  const path = join(folder, "file");
  const file = await open(path, "w");
  let calls = 0;
  // As the operating system may: it writes less than it was given, and says how much.
  const writev = async <T extends readonly NodeJS.ArrayBufferView[]>(left: T, at?: number) => {
    calls += 1;
    const bytes = Buffer.concat(left as unknown as readonly Uint8Array[]).subarray(0, bytesMax);
    const { bytesWritten } = await file.write(bytes, 0, bytes.length, at);
    return { bytesWritten, buffers: left };
  };
  try {
    await writeFully({ writev }, chunks, 0);
    expect(calls).toBeLessThanOrEqual(Buffer.concat(chunks).length / bytesMax + 1);
  } finally {
    await file.close();
  }
  return readFile(path);
}

test("chunks are written whole, wherever a call stops", async () => {
  const anyChunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(anyChunks, fc.integer({ min: 1, max: 70 }), async (chunks, bytesMax) => {
      expect(await written(chunks, bytesMax)).toEqual(Buffer.concat(chunks));
    }),
  );
});

test("more chunks than one call of the operating system takes are written all the same", async () => {
  // IOV_MAX is 1,024 on Linux.
  const chunks = Array.from({ length: 3_000 }, (_, number) => Buffer.from(`${number},`));
  const path = join(folder, "many");
  const file = await open(path, "w");
  await writeFully(file, chunks, 0);
  await file.close();
  expect(await readFile(path)).toEqual(Buffer.concat(chunks));
});
