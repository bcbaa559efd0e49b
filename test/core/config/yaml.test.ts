import { describe, expect, test } from "vitest";
import { backupText, parse, problemsOf } from "#test/core/config/configuration.ts";

describe("S3 hostile YAML", () => {
  test("S3 duplicate keys are refused with the second one's place, also in flow mappings", () => {
    expect(problemsOf(`${backupText}mode: restore\n`)).toEqual([
      "f.yaml:9:1 mode: is here for the second time",
    ]);
    expect(problemsOf(backupText.replace('["*"]', '["*"]\n    "include": [a]'))).toEqual([
      "f.yaml:7:5 source.topics.include: is here for the second time",
    ]);
    expect(problemsOf(`${backupText}backup: {recompress: never, recompress: frame}\n`)).toEqual([
      "f.yaml:9:29 backup.recompress: is here for the second time",
    ]);
  });

  test("S3 a second document, tags, directives and keys that are no words are refused", () => {
    expect(problemsOf(`${backupText}---\nmode: restore\n`)).toEqual([
      "f.yaml:9:1 a second YAML document begins here; one is allowed",
    ]);
    for (const tag of ["!secret", "!!binary", "!!set", "!<tag:x,2000:y>"]) {
      expect(problemsOf(backupText.replace("nightly", `${tag} x`))).toEqual([
        "f.yaml:2:12 tags (!name) are not allowed",
      ]);
    }
    expect(problemsOf(`%YAML 1.1\n---\n${backupText}`)[0]).toContain(
      "must not choose a YAML version",
    );
    expect(problemsOf(`${backupText}? [a]\n: b\n`)[0]).toBe(
      "f.yaml:9:3 a key must be a plain word",
    );
  });

  test("S3 merge keys do nothing but be unknown", () => {
    expect(problemsOf(`${backupText}<<: {backup: {recompress: frame}}\n`)).toEqual([
      'f.yaml:9:1 ["<<"]: unknown key',
    ]);
  });

  test("S3 words of YAML 1.1 are text", () => {
    expect(problemsOf("mode: restore\nrestore:\n  dry_run: yes\n")).toContain(
      "f.yaml:3:12 restore.dry_run: must be true or false",
    );
  });

  test("S3 __proto__ is a key like no other, in sections and in mappings", () => {
    expect(problemsOf(`${backupText}__proto__: {polluted: true}\n`)).toEqual([
      "f.yaml:9:1 __proto__: is not a possible key",
    ]);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  test("S3 syntax errors tell the place and quote nothing", () => {
    const secrets = [
      "sasl_password: hunter2: x",
      "sasl_password: 'hunter2",
      'sasl_password: "x"hunter2',
      "sasl_password: }hunter2",
      "sasl_password: [hunter2",
      "sasl_password: !hunter2 x",
      "sasl_password: *hunter2",
      "sasl_password: |hunter2\n",
      "hunter2",
    ];
    for (const line of secrets) {
      const problems = problemsOf(`${backupText}${line}\n`).join("\n");
      expect(problems).toMatch(/^f.yaml:\d+:\d+ /);
      expect(problems, line).not.toContain("hunter2");
    }
  });

  test("S3 an alias bomb is refused at the first steps", () => {
    const level = (name: string, of: string) =>
      `${name}: &${name} [${Array(9).fill(of).join(", ")}]`;
    const lines = [level("a", "x"), level("b", "*a"), level("c", "*b"), level("d", "*c")];
    const bomb = [...lines, level("e", "*d"), level("f", "*e"), level("g", "*f")].join("\n");
    expect(problemsOf(bomb).at(-1)).toContain("has more than 100000 values, aliases spelled out");
  });

  test("S3 an alias to what it stands in is refused", () => {
    expect(problemsOf("mode: &a [*a]\n").join("\n")).toContain("is nested more than 32 deep");
  });

  test("S3 deep nesting is refused, whether it is closed or not", () => {
    for (const depth of [33, 2000]) {
      const text = `mode: ${"[".repeat(depth)}${"]".repeat(depth)}\n`;
      expect(problemsOf(text).join("\n")).toMatch(/nested (more than 32 deep|too deeply)/);
    }
    expect(problemsOf(`mode: ${"[".repeat(50_000)}`)).toEqual([
      expect.stringMatching(/^f.yaml:1:\d+ nested too deeply$/),
    ]);
  });

  test("S3 a file above 1 MiB is refused unread, comments and all", () => {
    const padding = `#${"x".repeat(99)}\n`;
    expect(parse(backupText + padding.repeat(10_000)).mode).toBe("backup");
    expect(problemsOf(backupText + padding.repeat(10_400))).toEqual([
      "f.yaml is larger than 1048576 bytes, which no configuration needs",
    ]);
  });

  /** Each took seconds to minutes of a parser without bounds; the bound leaves room for slow machines. */
  const floods = {
    "keys of one mapping": Array.from({ length: 15_000 }, (_, i) => `k${i}: 1`).join("\n"),
    "more keys than are looked at": Array.from({ length: 100_000 }, (_, i) => `k${i}: 1`).join(
      "\n",
    ),
    commas: `a: [${",".repeat(2 ** 20 - 100)}`,
    "commas up to the bound": `a: [${",".repeat(99_000)}`,
    "aliases without anchor": `a: [${"*a,".repeat(33_000)}]`,
    aliases: `a: &a 1\nb: [${"*a,".repeat(33_000)}]`,
    anchors: `a: ${"&a ".repeat(49_000)}`,
    tags: `a: ${"!x ".repeat(49_000)}`,
    sequences: "- ".repeat(49_000),
    "question marks": "? ".repeat(49_000),
    documents: "---\n".repeat(49_000),
    directives: "%FOO\n".repeat(49_000),
    "quotes in quotes": `a: '${"''".repeat(500_000)}'`,
    "openings of variables": `a: ${"${".repeat(500_000)}`,
    "openings of defaults": `a: ${"${A:-".repeat(150_000)}`,
    spaces: `a${" ".repeat(2 ** 20 - 100)}b`,
  };
  test.each(Object.entries(floods))("S3 a flood of %s is refused in bounded time", (_, text) => {
    const startMs = performance.now();
    expect(problemsOf(text).length).toBeLessThanOrEqual(21);
    expect(performance.now() - startMs).toBeLessThan(15_000);
  });
});
