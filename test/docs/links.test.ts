/** Links between documents lead somewhere, headings among it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";
import { headingAnchors, linkTargets } from "#test/support/markdown.ts";

const root = join(import.meta.dirname, "../..");
const documents = ["docs", "demos"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) =>
      join(folder, path),
    ),
  )
  .concat(["README.md", "CONTRIBUTING.md"])
  .filter((path) => path.endsWith(".md"));

describe.each(documents)("%s", (document) => {
  test("links to what is there", () => {
    const path = join(root, document);
    const isBroken = (target: string) => {
      if (/^[a-z]+:/.test(target)) return false;
      const [file, anchor] = target.split("#");
      const to = file === "" ? path : join(dirname(path), file!);
      if (!existsSync(to)) return true;
      if (anchor === undefined) return false;
      return !headingAnchors(readFileSync(to, "utf8")).includes(anchor);
    };
    const broken = linkTargets(readFileSync(path, "utf8")).filter(isBroken);
    expect(broken.map((target) => `${relative(root, path)} -> ${target}`)).toEqual([]);
  });
});
