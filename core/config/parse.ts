/** Text of a configuration file in, checked configuration or the list of all its problems out. */
import { z } from "zod";
import { chosenOption, propertyOf, schemaAt } from "#core/config/json-schema.ts";
import { type Config, configSchema } from "#core/config/schema.ts";
import { suggestionFor } from "#core/config/suggest.ts";
import type { Environment } from "#core/config/variables.ts";
import { type Path, type Problem, readYaml, type YamlFile } from "#core/config/yaml.ts";
import { BackupError } from "#core/errors.ts";

/** A value from elsewhere (an option of the command line) that stands over what the file says. */
export interface ConfigOverride {
  readonly path: Path;
  readonly value: string | number | boolean | Readonly<Record<string, unknown>>;
  /** What to call it in messages: `--time-window-end`. */
  readonly from: string;
}

export interface ParseOptions {
  /** For messages. */
  readonly fileName: string;
  /** What `${NAME}` is replaced from. */
  readonly env: Environment;
  readonly overrides?: readonly ConfigOverride[];
  /** Keys at the top that `parseKey` reads: left out here. */
  readonly keysElsewhere?: readonly string[];
}

const problemsShownMax = 20;

/**
 * Reads, fills and checks a configuration. Throws InvalidConfigError whose message holds one line
 * `file:line:column path: what is wrong` for each problem. What variables hold never appears.
 */
export function parseConfig(text: string, options: ParseOptions): Config {
  const { fileName, env, overrides = [], keysElsewhere = [] } = options;
  const file = readYaml(text, env);
  if (file.value === undefined) {
    const nothing = { place: undefined, path: [], message: "holds no configuration" };
    throw invalid(fileName, file.problems.length > 0 ? file.problems : [nothing]);
  }
  const value = withOverrides(withoutKeys(file.value, keysElsewhere), overrides);
  const result = checked(configSchema, value, file);
  if (result.success && file.problems.length === 0) return result.data;
  const found = (result.error?.issues ?? []).flatMap((issue) => problemsOf(issue, value, file));
  const problems = withoutRepetition([...file.problems, ...found]);
  throw invalid(
    fileName,
    problems.sort((a, b) => orderOf(a) - orderOf(b)),
    overrides,
  );
}

/**
 * One key at the top of a configuration, by a schema of its own: what only some users of the file
 * read. Problems are told as those of `parseConfig`; those of other keys are not looked for.
 */
export function parseKey<Output>(
  text: string,
  key: string,
  schema: z.ZodType<Output>,
  { fileName, env }: Pick<ParseOptions, "fileName" | "env">,
): Output {
  const file = readYaml(text, env);
  const value = { [key]: propertyOf(file.value, key) };
  const result = checked(z.object({ [key]: schema }), value, file);
  if (result.success) return result.data[key] as Output;
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, value, file));
  throw invalid(fileName, withoutRepetition(problems));
}

function withoutKeys(value: unknown, keys: readonly string[]): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([key]) => !keys.includes(key)));
}

function orderOf({ place }: Problem): number {
  return place === undefined ? 0 : place.line * 1e6 + place.column;
}

function withOverrides(value: unknown, overrides: readonly ConfigOverride[]): unknown {
  return overrides.reduce((all, { path, value }) => withValueAt(all, path, value), value);
}

function withValueAt(target: unknown, path: Path, value: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return value;
  if (target !== undefined && (typeof target !== "object" || Array.isArray(target))) return target;
  return { ...target, [first]: withValueAt(propertyOf(target, first), rest, value) };
}

/**
 * Variables hold strings. Where the schema wants a number or a boolean and a variable's string is
 * one, it is converted, and all is checked again.
 */
function checked<Output>(
  schema: z.ZodType<Output>,
  value: unknown,
  file: YamlFile,
): z.ZodSafeParseResult<Output> {
  const first = schema.safeParse(value);
  let converted = value;
  for (const issue of first.error?.issues ?? []) {
    const path = issue.path as Path;
    if (!file.isFromVariable(path)) continue;
    const plain = plainValue(valueAt(value, path));
    if (plain !== undefined) converted = replacedAt(converted, path, plain);
  }
  return converted === value ? first : schema.safeParse(converted);
}

function plainValue(text: unknown): number | boolean | undefined {
  if (text === "true" || text === "false") return text === "true";
  return typeof text === "string" && /^-?\d{1,15}$/.test(text) ? Number(text) : undefined;
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce(propertyOf, value);
}

function replacedAt(target: unknown, path: Path, value: unknown): unknown {
  const [first, ...rest] = path;
  if (first === undefined) return value;
  const replaced = replacedAt(propertyOf(target, first), rest, value);
  if (Array.isArray(target)) return target.with(Number(first), replaced);
  return { ...(target as object), [first]: replaced };
}

function problemsOf(issue: z.core.$ZodIssue, value: unknown, file: YamlFile): Problem[] {
  const path = pathInFile(issue.path as Path, value);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => {
        const keyPath = [...path, key];
        return {
          place: file.keyPlace(keyPath),
          path: keyPath,
          message: unknownKey(key, path, value),
        };
      });
    case "invalid_key":
      return [
        { place: file.keyPlace(path), path, message: issue.issues[0]?.message ?? issue.message },
      ];
    case "invalid_union":
      if (issue.discriminator === undefined) break;
      return [atValue(file, path, oneOfMessage(optionsOf(issue), value, path, file))];
    case "invalid_value":
      return [atValue(file, path, oneOfMessage(issue.values, value, path, file))];
    case "invalid_type":
      return [atValue(file, path, typeMessage(issue.expected, valueAt(value, path)))];
    case "too_small":
    case "too_big":
      return [atValue(file, path, sizeMessage(issue))];
  }
  const isMissing = issue.code === "invalid_union" && valueAt(value, path) === undefined;
  return [atValue(file, path, isMissing ? "is required" : issue.message)];
}

/** Without what a transformation added: a string with commas becomes a list, and its item is bad. */
function pathInFile(path: Path, value: unknown): Path {
  const end = path.findIndex((_, i) => typeof valueAt(value, path.slice(0, i)) === "string");
  return end === -1 ? path : path.slice(0, end);
}

function atValue(file: YamlFile, path: Path, message: string): Problem {
  return { place: file.valuePlace(path), path, message };
}

/** Zod says which values the key of a discriminated union may have, but does not type it. */
function optionsOf(issue: z.core.$ZodIssueInvalidUnion): readonly unknown[] {
  return "options" in issue && Array.isArray(issue.options) ? issue.options : [];
}

/** Keys at the top that a file of another use may have. */
const keysOfOthers: Readonly<Record<string, string>> = {
  schedules: "does nothing here: only a deployment on AWS has schedules, see docs/aws-guide.md",
};

function unknownKey(key: string, path: Path, value: unknown): string {
  const section = schemaAt(path, value);
  const chosen = section && chosenOption(section, valueAt(value, path));
  const selector = Object.entries(chosen?.properties ?? {}).find(([, { const: c }]) => c);
  if (selector !== undefined && section?.oneOf?.some((o) => o.properties?.[key] !== undefined)) {
    return `does nothing with ${selector[0]}: ${selector[1].const}`;
  }
  const reader = path.length === 0 ? keysOfOthers[key] : undefined;
  if (reader !== undefined) return reader;
  const suggestion = suggestionFor(key, Object.keys(chosen?.properties ?? {}));
  return suggestion === undefined ? "unknown key" : `unknown key; did you mean ${suggestion}?`;
}

function oneOfMessage(
  options: readonly unknown[],
  value: unknown,
  path: Path,
  file: YamlFile,
): string {
  const given = valueAt(value, path);
  const names = options.map(String);
  if (given === undefined) return `is required: ${names.join(", ")}`;
  const isOurs = typeof given === "string" && !file.isFromVariable(path);
  const suggestion = isOurs ? suggestionFor(given, names) : undefined;
  const question = suggestion === undefined ? "" : `; did you mean ${suggestion}?`;
  return `must be ${names.length > 1 ? "one of " : ""}${names.join(", ")}${question}`;
}

const typeNames: Readonly<Partial<Record<string, string>>> = {
  int: "a whole number",
  number: "a number",
  string: "text",
  boolean: "true or false",
  array: "a list",
  object: "a section of keys",
  record: "a mapping",
};

function typeMessage(expected: string, given: unknown): string {
  if (given === undefined) return "is required";
  const isLooseText = expected === "string" && ["number", "boolean"].includes(typeof given);
  return `must be ${typeNames[expected] ?? expected}${isLooseText ? ": put it in quotes" : ""}`;
}

function sizeMessage(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  if (issue.code === "too_small") {
    const isNumber = issue.origin === "number" || issue.origin === "int";
    return isNumber ? `must be at least ${issue.minimum}` : "must not be empty";
  }
  return issue.message.startsWith("must") ? issue.message : `must be at most ${issue.maximum}`;
}

/** One problem for each path: the first. What follows from it helps nobody. */
function withoutRepetition(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ path }) => {
    const key = JSON.stringify(path);
    const isFirst = !seen.has(key);
    seen.add(key);
    return isFirst;
  });
}

function invalid(
  fileName: string,
  problems: readonly Problem[],
  overrides: readonly ConfigOverride[] = [],
): BackupError {
  const shown = problems.slice(0, problemsShownMax).map((problem) => {
    const override = overrides.find(({ path }) =>
      path.every((part, i) => part === problem.path[i]),
    );
    if (override !== undefined) return `${override.from}: ${problem.message}`;
    const { place, path, message } = problem;
    const at = place === undefined ? fileName : `${fileName}:${place.line}:${place.column}`;
    return path.length === 0 ? `${at} ${message}` : `${at} ${pathText(path)}: ${message}`;
  });
  const hidden = problems.length - shown.length;
  if (hidden > 0) shown.push(`and ${hidden} more`);
  return new BackupError("InvalidConfigError", shown.join("\n"), {
    details: { file: fileName, problems: problems.length },
  });
}

const keyLengthShownMax = 60;

/** `source.topics.include[0]`, `restore.topic_mapping["orders.v1"]`. */
function pathText(path: Path): string {
  return path
    .map((part, i) => {
      if (typeof part === "number") return `[${part}]`;
      if (/^[A-Za-z_][A-Za-z0-9_-]{0,59}$/.test(part)) return i === 0 ? part : `.${part}`;
      return `[${JSON.stringify(part.slice(0, keyLengthShownMax))}]`;
    })
    .join("");
}
