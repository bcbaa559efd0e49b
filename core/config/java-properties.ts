/** Files of Kafka's clients: `java.util.Properties`, and JAAS configurations inside of them. */

export interface Property {
  readonly key: string;
  readonly value: string;
  /** Counted from 1. */
  readonly line: number;
}

/**
 * As `Properties.load` reads a file: comments of # and !, lines that a backslash continues, `=`, `:`
 * or space behind the key, and escapes. Of a key that is there twice both are returned, in order.
 */
export function readProperties(text: string): Property[] {
  const properties: Property[] = [];
  const lines = text.split(/\r\n|\r|\n/);
  for (let i = 0; i < lines.length; i++) {
    const line = i + 1;
    let logical = lines[i]!.trimStart();
    if (logical === "" || /^[#!]/.test(logical)) continue;
    while (isContinued(logical) && i + 1 < lines.length) {
      i += 1;
      logical = logical.slice(0, -1) + lines[i]!.trimStart();
    }
    const [, key = "", value = ""] =
      /^((?:\\.|[^\\=:\s])*)(?:\s*[=:]\s*|\s+|$)(.*)$/s.exec(logical) ?? [];
    properties.push({ key: unescaped(key), value: unescaped(value), line });
  }
  return properties;
}

function isContinued(line: string): boolean {
  const backslashes = /\\*$/.exec(line)?.[0].length ?? 0;
  return backslashes % 2 === 1;
}

const controls: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" };

function unescaped(text: string): string {
  return text.replace(/\\(u[0-9a-fA-F]{4}|.?)/gs, (_, escaped: string) =>
    escaped.length === 5
      ? String.fromCharCode(Number.parseInt(escaped.slice(1), 16))
      : (controls[escaped] ?? escaped),
  );
}

export interface JaasEntry {
  readonly loginModule: string;
  readonly options: ReadonlyMap<string, string>;
}

/** `LoginModule required name="value" … ;`, one of them; undefined for anything else. */
export function readJaas(text: string): JaasEntry | undefined {
  const tokens = jaasTokens(text);
  const [loginModule, flag] = tokens;
  if (loginModule?.word === undefined || !flags.has(flag?.word?.toLowerCase() ?? "")) return;
  const options = new Map<string, string>();
  let at = 2;
  for (; at + 2 < tokens.length && tokens[at]?.sign === undefined; at += 3) {
    const [name, equals, value] = tokens.slice(at, at + 3);
    if (name?.word === undefined || equals?.sign !== "=" || value?.sign !== undefined) return;
    options.set(name.word, value!.word);
  }
  const isEnd = at === tokens.length - 1 && tokens[at]?.sign === ";";
  return isEnd ? { loginModule: loginModule.word, options } : undefined;
}

const flags = new Set(["required", "requisite", "sufficient", "optional"]);

type JaasToken =
  | { readonly word: string; readonly sign?: undefined }
  | { readonly sign: string; readonly word?: undefined };

function jaasTokens(text: string): JaasToken[] {
  const pattern = /\s+|([=;])|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([^\s=;"']+)|(.)/gs;
  const tokens: JaasToken[] = [];
  for (const [, sign, double, single, bare, other] of text.matchAll(pattern)) {
    const quoted = double ?? single;
    if (quoted !== undefined) tokens.push({ word: unescaped(quoted) });
    else if (bare !== undefined) tokens.push({ word: bare });
    else if ((sign ?? other) !== undefined) tokens.push({ sign: (sign ?? other)! });
  }
  return tokens;
}
