/** `npm run generate`: writes the documents that are made from code, as the formatter wants them. */
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { generatedDocuments } from "./documents.ts";

const root = join(import.meta.dirname, "..");
const biome = join(root, "node_modules/.bin/biome");

for (const [path, text] of Object.entries(generatedDocuments())) {
  const file = join(root, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  if (path.endsWith(".json")) execFileSync(biome, ["format", "--write", path], { cwd: root });
  process.stdout.write(`${path}\n`);
}
