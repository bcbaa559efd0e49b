/**
 * The code of all functions in one folder: a bundle with an entry for each function and shared
 * chunks, the native packages, and the deployment's configurations.
 */
import { chmodSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { copyNativePackages, nativePackages, type Platform } from "#cdk/native-packages.ts";

const root = join(import.meta.dirname, "..");
/** Of `functions/`: what the functions share. */
const shared = ["failure.ts", "item-list.ts", "lease-conflicts.ts", "runtime.ts", "settings.ts"];
/** SDKs of storages that no deployment has (`parseDeployment`): 4 MB that nothing would load. */
const otherStorages = ["@azure/*", "google-auth-library"];
/** Bundled CommonJS packages ask for Node's own modules by `require`. */
const requireForBundled =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

/**
 * `aws`: Lambda's own Node on arm64. For emulators, `localstack`: the same in containers on this
 * machine's kind of processor; `local`: the Node that runs this.
 */
export type Stage = "aws" | "localstack" | "local";

const containers: Platform = process.arch === "arm64" ? "linux-arm64" : "linux-x64";
const platforms: Readonly<Record<Stage, Platform>> = {
  aws: "linux-arm64",
  localstack: containers,
  local: "host",
};

/** Whether Lambda is to start a stage's functions on arm64. */
export function isArm64(stage: Stage): boolean {
  return platforms[stage] !== "linux-x64";
}

/** Names of the functions, which are those of their files: `plan-backup`. */
export function functionNames(): string[] {
  const files = readdirSync(join(root, "functions"));
  return files.filter((file) => !shared.includes(file)).map((file) => file.replace(/\.ts$/, ""));
}

/**
 * Makes a folder of temporary files, which the caller removes, and returns its path. `configs`:
 * texts by file name.
 */
export function buildFunctionCode(configs: Readonly<Record<string, string>>, stage: Stage): string {
  const folder = mkdtempSync(join(tmpdir(), "kafka-backup-functions-"));
  const entries = functionNames().map((name) => [name, `functions/${name}.ts`]);
  const bootstrap = stage === "local" ? [["runtime-loop", "local/lambda-runtime.ts"]] : [];
  buildSync({
    absWorkingDir: root,
    entryPoints: Object.fromEntries([...entries, ...bootstrap]),
    outdir: folder,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    external: [...nativePackages, ...otherStorages],
    banner: { js: requireForBundled },
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: "linked",
    logLevel: "warning",
  });
  copyNativePackages(platforms[stage], join(folder, "node_modules"));
  for (const [name, text] of Object.entries(configs)) writeFileSync(join(folder, name), text);
  if (stage === "local") writeBootstrap(join(folder, "bootstrap"));
  return folder;
}

/** What Lambda starts in a runtime that the function brings itself. */
function writeBootstrap(file: string): void {
  const loop = '"$(dirname "$0")/runtime-loop.mjs"';
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' ${loop}\n`);
  chmodSync(file, 0o755);
}
