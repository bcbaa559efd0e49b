/** docs/guarantees.md and the titles of the tests speak of the same promises. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const documentPath = "docs/guarantees.md";

const number = /\b[FCKRIS]\d{1,2}\b/g;
/** `### F1 · kept` */
const heading = /^### ([FCKRIS]\d{1,2}) · (.+)$/;
/** What begins with numbers, as `"C2, C4: …"`, or ends with them in brackets, as `"… (F1)"`. */
const title =
  /["'`](?:((?:[FCKRIS]\d{1,2}[,: ]+)+)[^"'`]|[^"'`\n]*\(([FCKRIS][\dFCKRIS, ]*)\)["'`])/g;

interface Guarantee {
  readonly number: string;
  readonly state: string;
  readonly text: string;
}

function readGuarantees(): Guarantee[] {
  const sections = readFileSync(join(root, documentPath), "utf8")
    .split(/^(?=### )/m)
    .slice(1);
  return sections.map((section) => {
    const [first = "", ...rest] = section.split("\n");
    const [, id = "", state = ""] = heading.exec(first) ?? [];
    return { number: id, state, text: rest.join("\n") };
  });
}

/** Numbers in the titles of each test file, by the file's path. */
function readTitles(): Map<string, Set<string>> {
  const paths = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((path) => `test/${path.replaceAll("\\", "/")}`)
    .filter((path) => /^test\/contract\/.*\.ts$|\.test\.ts$/.test(path))
    .filter((path) => !path.endsWith("guarantees.test.ts"));
  return new Map(
    paths.map((path) => {
      const text = readFileSync(join(root, path), "utf8");
      const titles = [...text.matchAll(title)].map(([, front, back]) => front ?? back ?? "");
      return [path, new Set(titles.flatMap((found) => found.match(number) ?? []))] as const;
    }),
  );
}

const guarantees = readGuarantees();
const titles = readTitles();
const proven = new Set([...titles.values()].flatMap((numbers) => [...numbers]));
const kept = guarantees.filter(({ state }) => state === "kept");

test("each guarantee has a number of its own and is kept or planned", () => {
  const numbers = guarantees.map(({ number }) => number);
  expect(numbers).not.toContain("");
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(new Set(guarantees.map(({ state }) => state))).toEqual(new Set(["kept", "planned"]));
});

test("each number in the title of a test is a guarantee", () => {
  const known = new Set(guarantees.map(({ number }) => number));
  expect([...proven].filter((found) => !known.has(found))).toEqual([]);
});

describe.each(kept)("$number is kept:", ({ number, text }) => {
  const files = [...text.matchAll(/`(test\/[^`]+\.ts)`/g)].map(([, file]) => file!);

  test("tests bear its number", () => {
    expect(proven).toContain(number);
  });

  test("the files that the document names are there and bear its number", () => {
    expect(files).not.toEqual([]);
    const wrong = files.filter(
      (file) => !existsSync(join(root, file)) || !titles.get(file)?.has(number),
    );
    expect(wrong).toEqual([]);
  });

  test("a deliberate break and the test that caught it are written down", () => {
    expect(text).toMatch(/^Broken: .+\. Caught by /m);
  });
});
