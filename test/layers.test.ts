/** The borders between the parts of the tree, and its habits, held by a test. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, relative } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const folders = ["core", "cli", "functions", "cdk", "local", "test", "bench", "scripts", "demos"];

interface SourceFile {
  /** Relative to the root, with slashes. */
  readonly path: string;
  readonly text: string;
  /** Files of the tree by path, others as they are written. */
  readonly imports: readonly string[];
  /** The same without those that are types only: what is there when the program runs. */
  readonly runtimeImports: readonly string[];
}

const importPattern =
  /(?:^|\n)\s*(?:import|export)\s(type\s)?[^"';]*?from\s+"([^"]+)"|import\("([^"]+)"\)|(?:^|\n)import\s+"([^"]+)"/g;

function readTree(): SourceFile[] {
  const paths = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts") && !path.includes("node_modules"))
      .map((path) => `${folder}/${path.replaceAll("\\", "/")}`),
  );
  return paths.map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    const found = [...text.matchAll(importPattern)].map(
      ([, isType, from, dynamic, bare]) =>
        ({
          isType: isType !== undefined,
          target: resolve(path, (from ?? dynamic ?? bare)!),
        }) as const,
    );
    return {
      path,
      text,
      imports: found.map(({ target }) => target),
      runtimeImports: found.filter(({ isType }) => !isType).map(({ target }) => target),
    };
  });
}

function resolve(from: string, target: string): string {
  if (target.startsWith("#")) return target.slice(1);
  if (!target.startsWith(".")) return target;
  return relative(root, normalize(join(root, dirname(from), target))).replaceAll("\\", "/");
}

const tree = readTree();
const inside = (path: string, ...prefixes: string[]) =>
  prefixes.some((prefix) => path === prefix || path.startsWith(`${prefix}/`));

/** Files of `from` that import what `isForbidden` names, as `file -> import`. */
function violations(from: string, isForbidden: (target: string, file: SourceFile) => boolean) {
  return tree
    .filter(({ path }) => inside(path, from))
    .flatMap((file) =>
      file.imports
        .filter((target) => isForbidden(target, file))
        .map((target) => `${file.path} -> ${target}`),
    );
}

describe("layers", () => {
  test("the engine knows no entry point", () => {
    expect(violations("core", (to) => inside(to, ...folders.filter((f) => f !== "core")))).toEqual(
      [],
    );
  });

  test("entry points know the engine and not each other, but for the demos' services", () => {
    expect(violations("cli", (to) => inside(to, "local", "test", "bench", "demos"))).toEqual([]);
    expect(violations("local", (to) => inside(to, "cli", "test", "bench", "demos"))).toEqual([]);
  });

  test("functions know the engine and nothing else; what deploys them knows errors and configuration", () => {
    const others = folders.filter((folder) => folder !== "core" && folder !== "functions");
    expect(violations("functions", (to) => inside(to, ...others))).toEqual([]);
    const isForbidden = (to: string) =>
      inside(to, ...folders.filter((folder) => folder !== "cdk")) &&
      !inside(to, "core/errors.ts", "core/config");
    expect(violations("cdk", isForbidden)).toEqual([]);
    const readEnvironment = tree
      .filter(({ path, text }) => inside(path, "functions") && text.includes("process.env"))
      .map(({ path }) => path);
    expect(readEnvironment).toEqual(["functions/runtime.ts"]);
  });

  test("only open.ts names a concrete storage or catalogue", () => {
    const concrete = (to: string) =>
      inside(to, "core/storage/filesystem.ts", "core/storage/s3.ts", "core/storage/memory.ts") ||
      inside(to, "core/storage/azure.ts", "core/storage/gcs.ts") ||
      inside(
        to,
        "core/catalog/objects.ts",
        "core/catalog/dynamodb.ts",
        "core/catalog/with-table.ts",
      );
    const isOpen = (path: string) => inside(path, "core/storage/open.ts", "core/catalog/open.ts");
    expect(violations("core", (to, { path }) => concrete(to) && !isOpen(path))).toEqual([]);
    expect(violations("cli", concrete)).toEqual([]);
  });

  test("only the module of its internals names kafkajs, and only as a type elsewhere", () => {
    const found = tree
      .filter(({ path }) => inside(path, "core", "cli"))
      .filter(({ runtimeImports }) => runtimeImports.some((to) => inside(to, "kafkajs")))
      .map(({ path }) => path);
    expect(found).toEqual(["core/kafka/kafkajs-internals.ts"]);
  });

  test("only the S3 storage, the DynamoDB table and the login with IAM name the AWS SDK", () => {
    const isSdk = (to: string) => inside(to, "@aws-sdk", "@smithy");
    const mayName = (path: string) => /\/(s3[^/]*|dynamodb|msk-iam-token)\.ts$/.test(path);
    const found = violations("core", (to, { path }) => isSdk(to) && !mayName(path));
    expect([...found, ...violations("cli", isSdk)]).toEqual([]);
  });

  test("only their storages name the libraries of Azure and Google", () => {
    const isLibrary = (to: string) => inside(to, "@azure", "google-auth-library");
    const mayName = (path: string) => /^core\/storage\/(azure|gcs-requests)\.ts$/.test(path);
    const found = violations("core", (to, { path }) => isLibrary(to) && !mayName(path));
    expect([...found, ...violations("cli", isLibrary)]).toEqual([]);
  });

  test("nothing imports in a circle", () => {
    const byPath = new Map(tree.map((file) => [file.path, file]));
    const state = new Map<string, "open" | "done">();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]) => {
      if (state.get(path) === "done") return;
      if (state.get(path) === "open") {
        circles.push([...trail.slice(trail.indexOf(path)), path].join(" -> "));
        return;
      }
      state.set(path, "open");
      for (const to of byPath.get(path)?.runtimeImports ?? []) {
        if (byPath.has(to)) visit(to, [...trail, path]);
      }
      state.set(path, "done");
    };
    for (const { path } of tree) visit(path, []);
    expect(circles).toEqual([]);
  });
});

describe("the engine is told what it needs", () => {
  const engine = tree.filter(({ path }) => inside(path, "core"));
  const code = (text: string) => text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  const uses = (pattern: RegExp, ...allowed: string[]) =>
    engine
      .filter(({ path, text }) => pattern.test(code(text)) && !inside(path, ...allowed))
      .map(({ path }) => path);

  test("no process, no console", () => {
    expect(uses(/\bprocess\.(env|argv|exit|std)|\bconsole\./)).toEqual([]);
  });

  test("time and chance are passed in", () => {
    const drawsItsOwn = [
      "core/system.ts",
      // Names of temporary files and marks of uploads: unique, and never seen by anybody.
      "core/storage/filesystem.ts",
      "core/storage/s3.ts",
      "core/storage/azure.ts",
      "core/storage/gcs.ts",
      // Which broker to ask first.
      "core/kafka/session.ts",
    ];
    const machine = /\bDate\.now\(|\bperformance\.now\(|\bMath\.random\(|\brandom(Bytes|UUID)\(/;
    expect(uses(machine, ...drawsItsOwn)).toEqual([]);
  });
});

describe("habits", () => {
  /** Longer files, each with the reason why it is one subject. */
  const longFiles: Record<string, string> = {};

  test("files have at most 400 lines, tests 600", () => {
    const tooLong = tree
      .filter(({ path, text }) => {
        const most = inside(path, "test") ? 600 : 400;
        return text.split("\n").length > most && longFiles[path] === undefined;
      })
      .map(({ path }) => path);
    expect(tooLong).toEqual([]);
  });

  test("files are named in kebab-case, and for what they are", () => {
    const odd = tree
      .map(({ path }) => path)
      .filter((path) => !/^([a-z0-9-]+\/)*[a-z0-9-]+(\.test)?\.ts$/.test(path))
      .concat(
        tree
          .map(({ path }) => path)
          .filter((path) => /(utils?|helpers?|common|manager)\b/.test(path)),
      );
    expect(odd).toEqual([]);
  });

  test("no test is skipped or runs alone", () => {
    const found = tree
      .filter(({ path }) => path.endsWith(".test.ts") && path !== "test/layers.test.ts")
      .filter(({ text }) => /\b(describe|it|test)\.(skip|only|todo|fails)\b/.test(text))
      .map(({ path }) => path);
    expect(found).toEqual([]);
  });
});
