/**
 * `npm run build`, and before packing: bundles the command line into dist/. Node strips no types
 * inside node_modules, so the published package cannot run from the sources. Commands stay chunks
 * of their own, loaded when they are needed; native packages stay outside.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const nativePackages = ["@node-rs/crc32", "lz4-napi", "snappy"];
/** Bundled CommonJS packages still ask for Node's own modules by `require`. */
const requireForBundled =
  'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);';

const outdir = join(root, "dist");
await rm(outdir, { recursive: true, force: true });
await build({
  absWorkingDir: root,
  entryPoints: { "kafka-backup": "cli/main.ts" },
  outdir,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node22.15",
  external: nativePackages,
  banner: { js: requireForBundled },
  legalComments: "linked",
  logLevel: "warning",
});
