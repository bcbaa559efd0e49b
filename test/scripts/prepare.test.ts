/** When `scripts/prepare.mjs` installs: by what lockfiles hold, whatever their times. */
import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = join(import.meta.dirname, "../../scripts/prepare.mjs");
const lockfile = "package-lock.json";
const installed = "node_modules/.package-lock.json";

const root = { "": { version: "0.1.0" } };
const zod = { "node_modules/zod": { version: "4.0.0", integrity: "sha512-a" } };
const otherSystem = {
  "node_modules/@esbuild/aix-ppc64": { version: "1.0.0", integrity: "sha512-b", optional: true },
};

let checkout: string;
beforeEach(async () => {
  checkout = await mkdtemp(join(tmpdir(), "kafka-backup-prepare-"));
  await mkdir(join(checkout, "bin"));
  const npm = join(checkout, "bin/npm");
  await writeFile(npm, '#!/bin/sh\necho "$@" > called\n');
  await chmod(npm, 0o755);
  await write(lockfile, { ...root, ...zod, ...otherSystem });
});
afterEach(() => rm(checkout, { recursive: true, force: true }));

async function write(file: string, packages: object): Promise<void> {
  await mkdir(join(checkout, "node_modules"), { recursive: true });
  await writeFile(join(checkout, file), JSON.stringify({ lockfileVersion: 3, packages }));
}

/** What npm was told; undefined where it was not called. */
async function prepared(): Promise<string | undefined> {
  const env = { ...process.env, PATH: `${join(checkout, "bin")}${delimiter}${process.env.PATH}` };
  const ran = spawnSync(process.execPath, [script], { cwd: checkout, env, encoding: "utf8" });
  expect(ran).toMatchObject({ status: 0 });
  return readFile(join(checkout, "called"), "utf8").catch(() => undefined);
}

test("a lockfile that is only newer installs nothing", async () => {
  await write(installed, zod);
  const later = new Date(Date.now() + 3_600_000);
  await utimes(join(checkout, lockfile), later, later);
  expect(await prepared()).toBeUndefined();
});

test.each([
  ["nothing is installed", undefined],
  ["a package is missing", {}],
  ["a package has another version", { "node_modules/zod": { version: "3.0.0" } }],
  [
    "a package has other contents",
    { "node_modules/zod": { version: "4.0.0", integrity: "sha512-c" } },
  ],
  ["a package is no longer wanted", { ...zod, "node_modules/yaml": { version: "2.0.0" } }],
])("npm installs where %s", async (_, packages) => {
  if (packages !== undefined) await write(installed, packages);
  expect(await prepared()).toMatch(/^ci /);
});
