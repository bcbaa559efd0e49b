/**
 * Bundles the command line for the published package, which cannot run from the sources: Node
 * strips no types inside node_modules. Commands stay chunks of their own, loaded when they are
 * needed; native packages stay outside, and so do the SDKs of storages that few use.
 */
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const nativePackages = ["@node-rs/crc32", "lz4-napi", "snappy"];
const otherStorages = ["@azure/*", "google-auth-library"];
/** Bundled CommonJS packages still ask for Node's own modules by `require`. */
const requireForBundled =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

/** Writes `kafka-backup.js` and its chunks into a folder. */
export async function bundle(outdir: string): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: { "kafka-backup": "cli/main.ts" },
    outdir,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22.15",
    external: [...nativePackages, ...otherStorages],
    banner: { js: requireForBundled },
    legalComments: "linked",
    logLevel: "warning",
  });
}
