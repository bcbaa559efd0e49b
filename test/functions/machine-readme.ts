/** What statemachines/README.md says of one machine's input. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

const file = join(import.meta.dirname, "../../statemachines/README.md");

export interface DocumentedInput {
  /** JSON to paste. */
  readonly examples: readonly string[];
  /** With dots between a field and one within it. */
  readonly fields: readonly string[];
}

export function documentedInput(machine: string): DocumentedInput {
  const readme = readFileSync(file, "utf8");
  const chapter = new RegExp(`^## ${machine}$(.*?)(?=^## |$(?![\\s\\S]))`, "ms").exec(readme)![1]!;
  const [, inputs = ""] = chapter.split(/^### /m);
  return {
    examples: [...inputs.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json]) => json!),
    fields: [...inputs.matchAll(/^\| `([\w.]+)` \|/gm)].map(([, field]) => field!),
  };
}
