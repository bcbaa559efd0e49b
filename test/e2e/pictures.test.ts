/** The README's pictures show what the commands print: their shape is that of a session played now. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { commands, type PictureName, playSession } from "../../scripts/pictures/session.ts";
import { svgOf } from "../../scripts/pictures/svg.ts";

const root = join(import.meta.dirname, "../..");
const folder = join(root, "docs/pictures");
const names = Object.keys(commands) as PictureName[];

/** Words of a picture's text, without those that differ from run to run: numbers, ids, units. */
function shapeOf(svg: string): string[] {
  return [...svg.matchAll(/<(?:text|title)[^>]*>([^<]*)</g)]
    .flatMap(([, text]) => text!.split(/[\s│─┌┬┐├┼┤└┴┘,.;:()]+/))
    .filter((word) => /^[a-z][a-z-]{1,20}$/i.test(word) && !/^([KMG]?i?B|ms|s|min)$/.test(word));
}

let played: Readonly<Record<PictureName, string>>;
beforeAll(async () => {
  const screens = await playSession();
  played = Object.fromEntries(
    names.map((name) => [name, svgOf(commands[name], screens[name])]),
  ) as Record<PictureName, string>;
}, 900_000);

describe.each(names)("the picture of %s", (name) => {
  test("shows what the command prints today; else make it anew", () => {
    const picture = readFileSync(join(folder, `${name}.svg`), "utf8");
    expect(shapeOf(picture)).toEqual(shapeOf(played[name]));
    expect(shapeOf(picture).length).toBeGreaterThan(10);
  });

  test("is in the README", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    expect(readme).toContain(`(docs/pictures/${name}.svg)`);
  });
});

test("there is no picture of anything else", () => {
  expect(readdirSync(folder).sort()).toEqual(names.map((name) => `${name}.svg`).sort());
});
