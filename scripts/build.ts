/** `npm run build`, and before packing: makes dist/ anew. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { bundle } from "./bundle.ts";

const outdir = join(import.meta.dirname, "../dist");
await rm(outdir, { recursive: true, force: true });
await bundle(outdir);
