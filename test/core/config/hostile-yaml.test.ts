// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
/** Any text in the place of a configuration is read, or refused with the place of what is wrong. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "#core/config/parse.ts";
import { configTemplate } from "#core/config/template.ts";
import { isBackupError } from "#core/errors.ts";
import { byteChanges, changedBytes, changedJson, jsonChanges } from "#test/support/hostile.ts";

const env = { KAFKA_PASSWORD: "hunter2" };
const templates = [configTemplate("backup"), configTemplate("restore")];

function readOrRefuse(text: string): void {
  try {
    parseConfig(text, { fileName: "f.yaml", env });
  } catch (error) {
    if (!isBackupError(error)) throw error;
    expect(error.name).toBe("InvalidConfigError");
    expect(error.message).not.toContain("hunter2");
  }
}

/** What YAML is made of. */
const token = fc.constantFrom(
  ...["a", "mode", "backup", "source", "topics", "1", "~", "null", "true", "", " ", "  ", "\t"],
  ...["\n", "\n  ", "\n- ", ": ", ":", "- ", "? ", "|", "|2-\n", ">", "[", "]", "{", "}", ","],
  ...["&a ", "*a", "<<: ", "!x ", "!!map ", "%YAML 1.1\n", "---\n", "...\n", "# c\n", "'", '"'],
  ...["\\", "\\u0000", "\u0000", "\ufeff", "\r", "\u2028", "\u0085", "💥", "\ud800"],
  ...[
    "${KAFKA_PASSWORD}",
    "${",
    "}",
    "$${",
    "${A:-b}",
    "${A:-${B}}",
    "__proto__: ",
    "0x7f",
    ".inf",
  ],
);

describe("S3", () => {
  test("S3 any sequence of what YAML is made of is read or refused by name", () => {
    fc.assert(
      fc.property(fc.array(token, { maxLength: 60 }), (tokens) => readOrRefuse(tokens.join(""))),
      { numRuns: 1_500 },
    );
  });

  test("S3 any text is read or refused by name", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), readOrRefuse), {
      numRuns: 400,
    });
  });

  test("S3 a sound configuration with other bytes is read or refused by name", () => {
    fc.assert(
      fc.property(fc.constantFrom(...templates), byteChanges, (text, changes) => {
        readOrRefuse(changedBytes(Buffer.from(text), changes).toString());
      }),
      { numRuns: 250 },
    );
  });

  test("S3 a sound configuration with hostile values is read or refused by name", () => {
    const sound = {
      ...{ mode: "restore", backup_id: "nightly" },
      target: { bootstrap_servers: ["k:9092"], topics: { include: ["*"] } },
      storage: { backend: "s3", bucket: "kafka-backups", prefix: "a/b" },
      restore: {
        ...{
          topic_mapping: { a: "b" },
          partition_mapping: { a: { 0: 1 } },
          lineage: { a: { 0: 1 } },
        },
        ...{ time_window_end: "2025-01-15T10:30:00Z", consumer_groups: ["g-*"] },
      },
    };
    fc.assert(
      fc.property(jsonChanges, (changes) => {
        readOrRefuse(JSON.stringify(changedJson(sound, changes)) ?? "");
      }),
      { numRuns: 1_500 },
    );
    expect(({} as Record<string, unknown>).x).toBeUndefined();
  });
});
