/** What docs/aws-guide.md says of functions and metrics is what is deployed. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { machines } from "#cdk/machines/all.ts";
import type { MachineFunction } from "#cdk/machines/machine.ts";

const root = join(import.meta.dirname, "../..");
const guide = readFileSync(join(root, "docs/aws-guide.md"), "utf8");
const permissions = chapter("Permissions");
const functions = machines.flatMap((machine) => Object.entries(machine.functions));

test("the metrics that it lists are those that functions write", () => {
  const written = readdirSync(join(root, "functions"))
    .map((file) => readFileSync(join(root, "functions", file), "utf8"))
    .flatMap((text) => [...text.matchAll(/\b([A-Z]\w+): \[/g)].map(([, name]) => name!));
  const rows = chapter("What to look at").split("\n").slice(2);
  const listed = rows.filter((row) => row.startsWith("|")).flatMap(quoted);
  expect(written.length).toBeGreaterThan(30);
  expect(sorted(listed.filter((name) => /^[A-Z]/.test(name)))).toEqual(sorted(written));
});

test("each function has a row with its rights", () => {
  const rows = permissions.split("\n").filter((row) => row.startsWith("|"));
  const named = rows.flatMap((row) => quoted(row.split("|")[1]!));
  expect(named.toSorted()).toEqual(functions.map(([name]) => name).sort());
});

test.each<[string, RegExp, (made: MachineFunction) => boolean]>([
  ["talk to Kafka", /^These talk to Kafka[^:]*:([^.]*)\./m, ({ cluster }) => cluster !== undefined],
  ["have no table", /^These have nothing to do[^:]*:([^.]*)\./m, ({ usesTable }) => !usesTable],
  [
    "remove items of the table",
    /All others put[^,]*, and ([^.]*) also remove/,
    ({ usesTable }) => usesTable === "remove",
  ],
])("the functions that %s are named", (_, sentence, is) => {
  const [, names = ""] = sentence.exec(permissions) ?? [];
  const expected = functions.filter(([, made]) => is(made)).map(([name]) => name);
  expect(quoted(names).toSorted()).toEqual(expected.sort());
});

function chapter(heading: string): string {
  return new RegExp(`^## ${heading}$(.*?)(?=^## )`, "ms").exec(guide)![1]!;
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([\w-]+)`/g)].map(([, name]) => name!);
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}
