import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { judgeSpace } from "#core/doctor/space.ts";
import { freeSpaceAt } from "#core/storage/free-space.ts";

const gib = 2n ** 30n;
const totalBytes = 100n * gib;
const needed = { bytes: 10n * gib, basis: "the newest run" };

test.each([
  [20n * gib, []],
  [20n * gib - 1n, [{ severity: "warning", code: "little-space" }]],
  [10n * gib - 1n, [{ severity: "error", code: "no-space" }]],
])("%d bytes free for 10 GiB", (freeBytes, findings) => {
  expect(judgeSpace({ freeBytes, totalBytes }, needed).findings ?? []).toMatchObject(findings);
});

test("a size that nobody knows is for the record", () => {
  expect(judgeSpace({ freeBytes: gib, totalBytes }, undefined)).toMatchObject({
    seen: "1.0 GiB are free",
    findings: [{ severity: "info", code: "size-unknown" }],
  });
});

test("the space is that of the file system, also of a folder that is not made yet", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-space-"));
  try {
    const [, blocks] = execFileSync("df", ["--output=size", "-B1", folder], { encoding: "utf8" })
      .trim()
      .split("\n");
    const { totalBytes, freeBytes } = await freeSpaceAt(join(folder, "not", "yet"));
    expect(totalBytes).toBe(BigInt(blocks!.trim()));
    expect(freeBytes).toBeLessThanOrEqual(totalBytes);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("a path below a file cannot be looked at", async () => {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-space-"));
  try {
    await writeFile(join(folder, "file"), "");
    await expect(freeSpaceAt(join(folder, "file", "below"))).rejects.toMatchObject({
      message: expect.stringContaining("ENOTDIR"),
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
