import { expect, test } from "vitest";
import { commands } from "#cli/commands/index.ts";
import { run } from "#cli/main.ts";
import { softwareVersion } from "#core/software.ts";
import { fakeIo } from "#test/cli/fake-io.ts";

const subcommands = [
  ["config", "check"],
  ["config", "init"],
];
const commandLines = [[], ...commands.map(({ name }) => [name]), ...subcommands];

test.each(commandLines.map((words) => [words.join(" ")]))(
  "help of `kafka-backup %s` is led by examples that name it",
  async (words) => {
    const io = fakeIo();
    expect(await run([...words.split(" "), "--help"].filter(Boolean), io)).toBe(0);
    expect(io.out()).toMatch(/^Examples:\n {2}# .+\n {2}kafka-backup /);
    const [examples = "", usage = ""] = io.out().split("\nUsage: ");
    for (const line of examples.split("\n").filter((each) => /^ {2}[^#]/.test(each))) {
      expect(line).toContain(`kafka-backup ${words}`.trimEnd());
    }
    expect(usage).toContain("--help");
    expect(io.err()).toBe("");
  },
);

test("`help COMMAND` is the same as `COMMAND --help`", async () => {
  const [asOption, asCommand] = [fakeIo(), fakeIo()];
  await run(["config", "--help"], asOption);
  expect(await run(["help", "config"], asCommand)).toBe(0);
  expect(asCommand.out()).toBe(asOption.out());
});

test("every command is listed with its summary", async () => {
  const io = fakeIo();
  await run(["--help"], io);
  for (const { name, summary } of commands) {
    expect(io.out().replaceAll(/\s+/g, " ")).toContain(`${name} ${summary}`.slice(0, 60));
  }
});

test("the exit codes are in the help", async () => {
  const io = fakeIo();
  await run(["--help"], io);
  for (const code of [0, 1, 2, 3, 10, 11, 12, 13, 14, 130]) {
    expect(io.out()).toMatch(new RegExp(`^ {2}${code} +\\S`, "m"));
  }
});

test("the version is the package's", async () => {
  const io = fakeIo();
  expect(await run(["--version"], io)).toBe(0);
  expect(io.out()).toBe(`${softwareVersion}\n`);
});

test.each([
  ["no command", []],
  ["an unknown command", ["bakup"]],
  ["an unknown option", ["config", "check", "--config", "x", "--colour"]],
  ["a missing option", ["config", "check"]],
  ["an option without its value", ["config", "check", "--config"]],
  ["a bad choice", ["config", "init", "backup", "--format", "xml"]],
  ["a bad argument", ["config", "init", "everything"]],
  ["too many arguments", ["config", "init", "backup", "restore"]],
])("%s is told on stderr and ends with 2", async (_, argv) => {
  const io = fakeIo();
  expect(await run(argv, io)).toBe(2);
  expect(io.out()).toBe("");
  expect(io.err()).not.toBe("");
});

test("a mistyped command gets a suggestion", async () => {
  const io = fakeIo();
  await run(["confg"], io);
  expect(io.err()).toContain("Did you mean config?");
});
