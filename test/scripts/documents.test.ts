import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorTable } from "#core/errors.ts";
import { generatedDocuments } from "../../scripts/documents.ts";

const root = join(import.meta.dirname, "../..");
const documents = Object.entries(generatedDocuments());

test.each(documents)("%s is what `npm run generate` makes", async (path, text) => {
  const committed = await readFile(join(root, path), "utf8");
  // The formatter breaks the lines of JSON in its own way.
  if (path.endsWith(".json")) expect(JSON.parse(committed)).toEqual(JSON.parse(text));
  else expect(committed).toBe(text);
});

test("the reference of errors has a row for every name", () => {
  const [, text = ""] = documents.find(([path]) => path === "docs/errors.md") ?? [];
  for (const name of Object.keys(errorTable)) expect(text).toContain(`| \`${name}\` |`);
});
