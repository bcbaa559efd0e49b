/** Packages that bring machine code: they stay outside bundles and come as their files. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

export const nativePackages = ["@node-rs/crc32", "lz4-napi", "snappy"] as const;

/** Where functions run: on Linux, on AWS's arm64 unless said, or on this machine. */
export type Platform = "linux-arm64" | "linux-x64" | "host";

/** Copies the packages and their machine code for `platform` into a `node_modules` folder. */
export function copyNativePackages(platform: Platform, target: string): void {
  const source = platform === "host" ? join(root, "node_modules") : installedFor(platform);
  for (const name of nativePackages) {
    const { optionalDependencies = {} } = packageJson(source, name);
    const binaries = Object.keys(optionalDependencies).filter((binary) =>
      existsSync(join(source, binary)),
    );
    if (binaries.length === 0) throw new Error(`${source} has no binary of ${name}`);
    for (const each of [name, ...binaries]) {
      cpSync(join(source, each), join(target, each), { recursive: true });
    }
  }
}

function packageJson(modules: string, name: string): { optionalDependencies?: object } {
  return JSON.parse(readFileSync(join(modules, name, "package.json"), "utf8"));
}

/**
 * The `node_modules` that the lockfile means for that platform, installed once for each version of
 * those packages into the project's cache (15 s). It appears complete or not at all.
 */
function installedFor(name: Exclude<Platform, "host">): string {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const versions = nativePackages.map((name) => packages[`node_modules/${name}`].integrity);
  const hash = createHash("sha256").update(versions.join()).digest("hex");
  const cache = join(root, ".cache", name);
  const home = join(cache, hash.slice(0, 16));
  if (existsSync(home)) return join(home, "node_modules");
  const partial = join(cache, `partial-${process.pid}`);
  mkdirSync(partial, { recursive: true });
  try {
    for (const file of ["package.json", "package-lock.json"]) {
      cpSync(join(root, file), join(partial, file));
    }
    const cpu = name.slice("linux-".length);
    const platform = ["--os=linux", `--cpu=${cpu}`, "--libc=glibc"];
    const quiet = ["--no-audit", "--no-fund", "--loglevel=error"];
    execFileSync("npm", ["ci", "--omit=dev", "--ignore-scripts", ...platform, ...quiet], {
      cwd: partial,
      stdio: ["ignore", "ignore", "inherit"],
    });
    appearAs(partial, home);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return join(home, "node_modules");
}

/** Where another process was faster, its folder holds the same. */
function appearAs(partial: string, home: string): void {
  try {
    renameSync(partial, home);
  } catch (error) {
    if (!existsSync(home)) throw error;
  }
}
