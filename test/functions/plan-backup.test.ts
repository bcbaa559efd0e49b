import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { backupInput } from "#functions/plan-backup.ts";

const readme = readFileSync(join(import.meta.dirname, "../../statemachines/README.md"), "utf8");
const chapter = /^## backup$(.*?)(?=^## |$(?![\s\S]))/ms.exec(readme)![1]!;
const [, inputs = ""] = chapter.split(/^### /m);
const examples = [...inputs.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) => json!);

test("there are examples to paste", () => {
  expect(examples.length).toBeGreaterThanOrEqual(3);
});

test.each(examples)("the example %s is an input that the machine takes", (json) => {
  expect(backupInput.safeParse(JSON.parse(json)).error).toBeUndefined();
});

test("the document names every field, and no others", () => {
  const named = [...inputs.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, field]) => field);
  expect(named).toEqual([
    ...["backup_id", "topics", "topics.include", "topics.exclude", "topics.allow_no_match"],
    ...["if_running", "turn_ms", "range_min_offsets"],
  ]);
  expect(Object.keys(backupInput.shape)).toEqual([
    ...["backup_id", "topics", "if_running", "turn_ms", "range_min_offsets"],
  ]);
});
