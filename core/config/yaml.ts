/**
 * Reads YAML into plain data and keeps where each key and value stood. Meant for files of unknown
 * origin (S3): everything that can grow or surprise is bounded or refused.
 */
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLError,
} from "yaml";
import { type Environment, substituteVariables } from "#core/config/variables.ts";

/** A configuration is a page or two; 1 MiB is mostly comments. */
export const yamlBytesMax = 2 ** 20;
/**
 * Tokens as the lexer counts them, six for a line of a list: 16,000 topic names. The parser's time
 * grows with them and is worst where each is an error: some 1.5 s (1 MiB of commas took 27 s).
 */
const yamlTokensMax = 100_000;
/** The schema is 4 deep. */
const yamlDepthMax = 32;
/** Counts what an alias stands for each time that it is used. */
const yamlNodesMax = 100_000;

export type Path = readonly (string | number)[];

export interface Place {
  /** From 1, as editors count. */
  readonly line: number;
  readonly column: number;
}

export interface Problem {
  /** Undefined where the problem is not in the file. */
  readonly place: Place | undefined;
  readonly path: Path;
  readonly message: string;
}

export interface YamlFile {
  /** Objects, arrays, strings, numbers, booleans; mappings leave out keys that have no value. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Of the key (or list item) at a path, or of its nearest ancestor that is in the file. */
  keyPlace(path: Path): Place | undefined;
  /** Of the value at a path; else as `keyPlace`. */
  valuePlace(path: Path): Place | undefined;
  /** Whether the value at a path came, wholly or in part, from a variable. */
  isFromVariable(path: Path): boolean;
}

interface Reader {
  /** The newest node of each anchor so far, as aliases mean it. */
  readonly anchors: Map<string, Node>;
  readonly lines: LineCounter;
  readonly env: Environment;
  readonly problems: Problem[];
  readonly keys: Map<string, Place>;
  readonly values: Map<string, Place>;
  readonly fromVariables: Set<string>;
  nodesLeft: number;
}

export function readYaml(text: string, env: Environment): YamlFile {
  const lines = new LineCounter();
  if (Buffer.byteLength(text) > yamlBytesMax) {
    const message = `is larger than ${yamlBytesMax} bytes, which no configuration needs`;
    return fileOf(undefined, [{ place: undefined, path: [], message }]);
  }
  if (hasTooManyTokens(text)) {
    const message = `has more than ${yamlTokensMax} words and signs, which no configuration needs`;
    return fileOf(undefined, [{ place: undefined, path: [], message }]);
  }
  const document = parseDocument(text, {
    lineCounter: lines,
    version: "1.2",
    schema: "core",
    merge: false,
    resolveKnownTags: false,
    stringKeys: true,
    // Compares each key with each other; `mappingOf` does it in linear time.
    uniqueKeys: false,
    prettyErrors: false,
    // `silent` would also keep quiet about further documents.
    logLevel: "error",
  });
  const reader: Reader = {
    anchors: new Map(),
    lines,
    env,
    problems: syntaxProblems([...document.errors, ...document.warnings], lines),
    keys: new Map(),
    values: new Map(),
    fromVariables: new Set(),
    nodesLeft: yamlNodesMax,
  };
  if (document.directives?.yaml.explicit === true) {
    report(reader, 0, [], "must not choose a YAML version: it is read as YAML 1.2");
  }
  if (reader.problems.length > 0) return fileOf(undefined, reader.problems);
  const value = plainOf(reader, document.contents, [], 0);
  return fileOf(reader.nodesLeft === 0 ? undefined : value, reader.problems, reader);
}

function hasTooManyTokens(text: string): boolean {
  let tokens = 0;
  for (const _ of new Lexer().lex(text)) {
    tokens++;
    if (tokens > yamlTokensMax) return true;
  }
  return false;
}

/** Syntax errors in words of our own where the parser's would quote the file: it may hold secrets. */
const syntaxMessages: Readonly<Partial<Record<string, string>>> = {
  BAD_DQ_ESCAPE: "invalid escape sequence in a double-quoted string",
  MULTIPLE_DOCS: "a second YAML document begins here; one is allowed",
  NON_STRING_KEY: "a key must be a plain word",
  RESOURCE_EXHAUSTION: "nested too deeply",
  TAG_RESOLVE_FAILED: "tags (!name) are not allowed",
  UNEXPECTED_TOKEN: "this is not YAML; does a value before it need quotes?",
};

function syntaxProblems(errors: YAMLError[], lines: LineCounter): Problem[] {
  const exhausted = errors.find(({ code }) => code === "RESOURCE_EXHAUSTION");
  return (exhausted === undefined ? errors : [exhausted])
    .sort((a, b) => a.pos[0] - b.pos[0])
    .map(({ pos, code, message }) => ({
      place: placeAt(lines, pos[0]),
      path: [],
      message: syntaxMessages[code] ?? message,
    }));
}

function placeAt(lines: LineCounter, position: number): Place {
  const { line, col } = lines.linePos(position);
  return { line, column: col };
}

function pathKey(path: Path): string {
  return JSON.stringify(path.map(String));
}

function report(reader: Reader, position: number, path: Path, message: string): undefined {
  reader.problems.push({ place: placeAt(reader.lines, position), path, message });
  return undefined;
}

function startOf(node: Node | null | undefined): number {
  return node?.range?.[0] ?? 0;
}

/** The node as plain data; undefined for nothing (null), and where a problem was reported. */
function plainOf(reader: Reader, node: unknown, path: Path, depth: number): unknown {
  const at = startOf(node as Node);
  if (reader.nodesLeft === 0) return undefined;
  reader.nodesLeft--;
  if (reader.nodesLeft === 0) {
    return report(reader, at, path, `has more than ${yamlNodesMax} values, aliases spelled out`);
  }
  if (depth > yamlDepthMax) {
    return report(reader, at, path, `is nested more than ${yamlDepthMax} deep`);
  }
  if (isAlias(node)) {
    const target = reader.anchors.get(node.source);
    if (target === undefined) return report(reader, at, path, "is an alias without an anchor");
    return plainOf(reader, target, path, depth + 1);
  }
  if (isNode(node) && node.anchor !== undefined) reader.anchors.set(node.anchor, node);
  if (isMap(node)) return mappingOf(reader, node.items, path, depth);
  if (isSeq(node)) return node.items.map((item, i) => itemOf(reader, item, [...path, i], depth));
  return isScalar(node) ? scalarOf(reader, node.value, at, path) : undefined;
}

function mappingOf(reader: Reader, pairs: Pair[], path: Path, depth: number): unknown {
  const mapping: Record<string, unknown> = {};
  const seen = new Set<string>();
  for (const pair of pairs) {
    const key = String(isScalar(pair.key) ? pair.key.value : "");
    const keyPosition = startOf(pair.key as Node);
    const valuePath = [...path, key];
    if (key === "__proto__") {
      report(reader, keyPosition, valuePath, "is not a possible key");
      continue;
    }
    if (seen.has(key)) {
      report(reader, keyPosition, valuePath, "is here for the second time");
      continue;
    }
    seen.add(key);
    reader.keys.set(pathKey(valuePath), placeAt(reader.lines, keyPosition));
    const value = placedValue(reader, pair.value, valuePath, depth);
    if (value !== undefined) mapping[key] = value;
  }
  return mapping;
}

/** A list keeps its places: what has no value stays in it, to be refused by the schema. */
function itemOf(reader: Reader, item: unknown, path: Path, depth: number): unknown {
  return placedValue(reader, item, path, depth) ?? null;
}

function placedValue(reader: Reader, node: unknown, path: Path, depth: number): unknown {
  if (isAlias(node) || isMap(node) || isSeq(node) || hasText(node))
    reader.values.set(pathKey(path), placeAt(reader.lines, startOf(node as Node)));
  return plainOf(reader, node, path, depth + 1);
}

/** Whether there is something to point at: an empty plain scalar lies somewhere behind its key. */
function hasText(node: unknown): boolean {
  return isScalar(node) && (node.type !== "PLAIN" || (node.source ?? "") !== "");
}

function scalarOf(reader: Reader, value: unknown, at: number, path: Path): unknown {
  if (value === null) return undefined;
  if (typeof value !== "string") return value;
  const { text, hasVariables, problems } = substituteVariables(value, reader.env);
  for (const problem of problems) report(reader, at, path, problem);
  if (problems.length > 0) return undefined;
  if (!hasVariables) return text;
  reader.fromVariables.add(pathKey(path));
  return text === "" ? undefined : text;
}

function fileOf(value: unknown, problems: readonly Problem[], reader?: Reader): YamlFile {
  const placeOf = (path: Path, first: "keys" | "values"): Place | undefined => {
    if (reader === undefined) return undefined;
    const exact = reader[first].get(pathKey(path));
    if (exact !== undefined) return exact;
    for (let length = path.length; length > 0; length--) {
      const key = pathKey(path.slice(0, length));
      const place = reader.keys.get(key) ?? reader.values.get(key);
      if (place !== undefined) return place;
    }
    return { line: 1, column: 1 };
  };
  return {
    value,
    problems,
    keyPlace: (path) => placeOf(path, "keys"),
    valuePlace: (path) => placeOf(path, "values"),
    isFromVariable: (path) => reader?.fromVariables.has(pathKey(path)) ?? false,
  };
}
