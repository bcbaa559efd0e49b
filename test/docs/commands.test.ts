/** What documents say of commands: none is left out of the tests, none has an option that is not. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { beforeAll, describe, expect, test } from "vitest";
import { commandContext } from "#cli/command.ts";
import { commands } from "#cli/commands/index.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { documents, guides, readDocument } from "#test/support/guides.ts";
import { commandBlocks } from "#test/support/markdown.ts";

const root = join(import.meta.dirname, "../..");
const scripts: Record<string, string> = JSON.parse(
  readFileSync(join(root, "package.json"), "utf8"),
).scripts;

const program = new Command("kafka-backup");
beforeAll(async () => {
  const context = commandContext(fakeIo(), () => {});
  for (const { name, load } of commands) {
    (await load()).configure(program.command(name), context);
  }
});

test("every document that has commands is among those whose commands are run, or are named with a reason", () => {
  const withCommands = documents.filter((path) => commandBlocks(readDocument(path)).length > 0);
  expect([...withCommands].sort()).toEqual(Object.keys(guides).sort());
});

describe.each(Object.entries(guides))("%s", (path, { notRun, stands = [] }) => {
  test("names no command as not run, and nothing to stand for another, that it has not", () => {
    const blocks = commandBlocks(readDocument(path)).map(({ text }) => text);
    const lines = blocks.flatMap((text) => text.split("\n"));
    const unused = Object.keys(notRun).filter(
      (start) => !lines.some((line) => line.startsWith(start)),
    );
    expect(unused).toEqual([]);
    expect(stands.filter(([from]) => !lines.some((line) => line.includes(from)))).toEqual([]);
    for (const reason of Object.values(notRun)) expect(reason).not.toBe("");
  });
});

describe.each(documents)("%s", (path) => {
  test("has its commands in blocks that are marked sh", () => {
    expect(readDocument(path)).not.toMatch(/^```(bash|shell|console|zsh|terminal)/m);
  });

  test("names commands that are, with options that they have", () => {
    expect(mentions(path).flatMap(unknownIn)).toEqual([]);
  });

  test("names scripts of npm that are", () => {
    const named = [...readDocument(path).matchAll(/npm run ([a-z][a-z:]*)/g)].map(([, it]) => it!);
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
  });

  test("names files of the checkout that are", () => {
    const named = [...readDocument(path).matchAll(/(?<=^|`)((?:demos|scripts|bin)\/[\w./-]+)/gm)];
    expect(named.map(([, it]) => it!).filter((it) => !existsSync(join(root, it)))).toEqual([]);
  });
});

/** Lines of blocks, and code within text, that begin with the command's name. */
function mentions(path: string): string[] {
  const markdown = readDocument(path);
  const blocks = commandBlocks(markdown).flatMap(({ text }) =>
    text.replaceAll("\\\n", " ").split("\n"),
  );
  const inline = [...markdown.matchAll(/`(kafka-backup [^`]+)`/g)].map(([, code]) => code!);
  return [...blocks.map((line) => line.trim()), ...inline].filter((line) =>
    line.startsWith("kafka-backup "),
  );
}

/** Commands and options of one line that are not; names in capitals stand for any. */
function unknownIn(line: string): string[] {
  const [typed = ""] = line.split(/ [|#>] | {2,}#/);
  let command: Command = program;
  const unknown: string[] = [];
  for (const word of typed.split(/\s+/).slice(1)) {
    if (word.startsWith("--")) {
      const isKnown = command.options.some(({ long }) => long === word.split("=")[0]);
      if (!isKnown && word !== "--help") unknown.push(`${line}: ${word}`);
      continue;
    }
    const next = command.commands.find((one) => one.name() === word);
    if (next !== undefined) command = next;
    else if (command === program && /^[a-z]/.test(word)) unknown.push(`${line}: ${word}`);
  }
  return unknown;
}
