/** What demos, their instructions and their index say of each other. */
import { accessSync, constants, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { commandBlocks } from "#test/support/markdown.ts";

const folder = join(import.meta.dirname, "../../demos");
const demos = readdirSync(folder, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith("/demo.sh"))
  .map(dirname);
const read = (...path: string[]) => readFileSync(join(folder, ...path), "utf8");

/** How one gets to the commands: they are of the one who reads, and no part of the demo. */
const waysIn = (demo: string) => [`demos/${demo}/demo.sh`, "demos/shell", `cd demos/${demo}`];

/** What `run <<'SH'` ... `SH` hold. */
function commandsOf(script: string): string[] {
  return [...script.matchAll(/run <<'SH'\n(.*?)\nSH$/gms)].map(([, text]) => text!);
}

test("there are demos", () => expect(demos.length).toBeGreaterThanOrEqual(12));

describe.each(demos)("the demo %s", (demo) => {
  test("runs every command of its instructions, and is told to run no other", () => {
    const ran = commandsOf(read(demo, "demo.sh"));
    const told = commandBlocks(read(demo, "instructions.md")).map(({ text }) => text);
    const known = new Set([...ran, ...waysIn(demo)]);
    expect(told.filter((text) => !known.has(text))).toEqual([]);
    expect(ran.filter((text) => !told.includes(text))).toEqual([]);
  });

  test("has the sections that a newcomer looks for", () => {
    const headings = [...read(demo, "instructions.md").matchAll(/^## (.*)$/gm)].map(([, h]) => h);
    expect(headings).toEqual([
      "Scenario",
      "By hand",
      "What to observe",
      "When something goes wrong",
      "Clean-up",
      "Next",
    ]);
  });

  test("counts all of its claims, and can be started", () => {
    const script = read(demo, "demo.sh");
    expect(script.trimEnd().split("\n").at(-1)).toMatch(/^done_with_claims [1-9]\d*$/);
    expect(() => accessSync(join(folder, demo, "demo.sh"), constants.X_OK)).not.toThrow();
  });

  test("uses the configurations that it has, and has those that it uses", () => {
    const script = read(demo, "demo.sh");
    const program = `${script}${demo.startsWith("python/") ? read(demo, "demo_backup_restore.py") : ""}`;
    // What stands in another folder is made when the demo runs.
    const used = new Set(program.match(/(?<![\w/-])[a-z-]+\.(?:yaml|json)\b/g));
    const present = readdirSync(join(folder, demo)).filter((name) => /\.(yaml|json)$/.test(name));
    expect([...used].sort()).toEqual(present.sort());
  });

  test("is in the index", () => {
    const index = readFileSync(join(folder, "../docs/demo-index.md"), "utf8");
    expect(index).toContain(`(../demos/${demo}/instructions.md) | \`${demo}\` |`);
  });
});

test("the index has no demo that is not there", () => {
  const index = readFileSync(join(folder, "../docs/demo-index.md"), "utf8");
  const named = [...index.matchAll(/\.\.\/demos\/(\S+)\/instructions\.md/g)].map(
    ([, name]) => name!,
  );
  expect(named.sort()).toEqual([...demos].sort());
});

test("large messages are made and not kept", () => {
  const files = readdirSync(join(folder, "data")).map((name) => join(folder, "data", name));
  for (const file of files) expect(statSync(file).size).toBeLessThan(20_000);
  expect(existsSync(join(folder, "data/orders.csv"))).toBe(true);
});
