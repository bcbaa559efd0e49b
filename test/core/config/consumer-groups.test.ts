/** The keys of a restore file that are about consumer groups, and the sections that go with them. */
import { describe, expect, test } from "vitest";
import { backupFirstOf } from "#core/config/schema.ts";
import { offsetStrategies } from "#core/offsets/contract.ts";
import { parseRestore, problemsOf, restoreText } from "#test/core/config/configuration.ts";

const withKeys = (...lines: string[]) => `${restoreText}${lines.map((l) => `  ${l}\n`).join("")}`;
const groups = "consumer_groups: [payments-processor]";
const sourceText = 'source:\n  bootstrap_servers: old:9092\n  topics: {include: ["*"]}\n';
const sourceWithoutTopics = "source:\n  bootstrap_servers: old:9092\n";

test("groups are left alone unless the file says otherwise", () => {
  const { restore } = parseRestore(restoreText);
  expect(restore).toMatchObject({
    reset_consumer_offsets: false,
    auto_consumer_groups: false,
    consumer_group_strategy: "offset-map",
    backup_first: false,
  });
  for (const key of ["consumer_groups", "offset_source", "include_offset_headers"]) {
    expect(restore).not.toHaveProperty(key);
  }
});

test("a file that asks for header-based resets of named groups is right as it stands", () => {
  const text = withKeys(
    "time_window_end: 1736985600000",
    "consumer_group_strategy: header-based",
    "consumer_groups:",
    "  - payments-processor",
    "reset_consumer_offsets: true",
  );
  expect(parseRestore(text).restore).toMatchObject({
    consumer_group_strategy: "header-based",
    consumer_groups: ["payments-processor"],
    reset_consumer_offsets: true,
  });
});

test.each(offsetStrategies)("the strategy %s can be chosen", (strategy) => {
  const text = withKeys(`consumer_group_strategy: ${strategy}`);
  expect(parseRestore(text).restore.consumer_group_strategy).toBe(strategy);
});

test("a group may have any name that Kafka takes", () => {
  const text = withKeys('consumer_groups: ["a b/c", "{x,y}-*", "грт"]');
  expect(parseRestore(text).restore.consumer_groups).toEqual(["a b/c", "{x,y}-*", "грт"]);
  expect(problemsOf(withKeys("consumer_groups: []"))).toEqual([
    "f.yaml:8:20 restore.consumer_groups: must not be empty",
  ]);
});

describe("offset_source", () => {
  const source = (value: string) => withKeys(groups, `offset_source: ${value}`);

  test("is a word or a snapshot", () => {
    expect(parseRestore(source("latest")).restore.offset_source).toBe("latest");
    const snapshot = "snapshot:snapshot-20250115T103000Z-1a2b3c4d";
    expect(parseRestore(source(snapshot)).restore.offset_source).toBe(snapshot);
  });

  test.each(["newest", "snapshot", "7"])("is not %s", (value) => {
    expect(problemsOf(source(value))).toEqual([
      "f.yaml:9:18 restore.offset_source: must be one of at-window-end, latest, current, or snapshot:ID",
    ]);
  });

  test("S2 names a snapshot by an id that stays in its folder", () => {
    expect(problemsOf(source("snapshot:../../x"))[0]).toContain("must name a snapshot");
    expect(problemsOf(source("'snapshot:'"))).toHaveLength(1);
  });

  test("at-window-end needs an end", () => {
    expect(problemsOf(source("at-window-end"))).toEqual([
      "f.yaml:9:18 restore.offset_source: at-window-end needs time_window_end",
    ]);
    const text = withKeys(groups, "offset_source: at-window-end", "time_window_end: 1736985600000");
    expect(parseRestore(text).restore.offset_source).toBe("at-window-end");
  });
});

describe("keys that belong together", () => {
  test("a reset needs groups", () => {
    expect(problemsOf(withKeys("reset_consumer_offsets: true"))).toEqual([
      "f.yaml:8:27 restore.reset_consumer_offsets: needs consumer_groups or auto_consumer_groups: true",
    ]);
    const text = withKeys("reset_consumer_offsets: true", "auto_consumer_groups: true");
    expect(parseRestore(text).restore.auto_consumer_groups).toBe(true);
  });

  test("all groups and some groups exclude each other", () => {
    expect(problemsOf(withKeys(groups, "auto_consumer_groups: true"))).toEqual([
      "f.yaml:9:25 restore.auto_consumer_groups: takes all groups: give consumer_groups or this",
    ]);
    expect(parseRestore(withKeys(groups, "auto_consumer_groups: false"))).toBeDefined();
  });

  test("what would do nothing without groups is refused", () => {
    const text = withKeys("offset_source: latest", "backup_first: true");
    const message = "does nothing without consumer_groups or auto_consumer_groups: true";
    expect(problemsOf(`${text}${sourceText}`)).toEqual([
      `f.yaml:8:18 restore.offset_source: ${message}`,
      `f.yaml:9:17 restore.backup_first: ${message}`,
    ]);
  });

  test("what would do nothing with the strategy that skips groups is refused", () => {
    const text = withKeys(groups, "consumer_group_strategy: skip", "reset_consumer_offsets: true");
    expect(problemsOf(text)).toEqual([
      "f.yaml:8:20 restore.consumer_groups: does nothing with consumer_group_strategy: skip",
      "f.yaml:10:27 restore.reset_consumer_offsets: does nothing with consumer_group_strategy: skip",
    ]);
  });
});

describe("the sections source and backup of a restore file", () => {
  const first = withKeys(groups, "backup_first: true");

  test("say the backup that comes first, in the restore's backup id and storage", () => {
    const text = `${first}${sourceText}backup:\n  compression: lz4\n`;
    expect(backupFirstOf(parseRestore(text))).toMatchObject({
      mode: "backup",
      backup_id: "nightly",
      source: { bootstrap_servers: ["old:9092"], topics: { include: ["*"], exclude: [] } },
      storage: { backend: "memory" },
      backup: { compression: "lz4", segment_max_bytes: 134_217_728 },
    });
  });

  test("the backup that comes first has defaults like any other", () => {
    const { backup } = backupFirstOf(parseRestore(`${first}${sourceText}`)) ?? {};
    expect(backup).toMatchObject({ compression: "zstd", max_concurrent_partitions: 4 });
    expect(backupFirstOf(parseRestore(restoreText))).toBeUndefined();
  });

  test("a backup that comes first needs a source with topics", () => {
    expect(problemsOf(first)).toEqual(["f.yaml:1:1 source: is required with restore.backup_first"]);
    expect(problemsOf(`${first}${sourceWithoutTopics}`)).toEqual([
      "f.yaml:10:1 source.topics: is required with restore.backup_first",
    ]);
  });

  test("are refused where nothing would use them", () => {
    expect(problemsOf(`${withKeys(groups)}${sourceText}backup:\n  compression: lz4\n`)).toEqual([
      "f.yaml:10:3 source: does nothing without restore.backup_first or restore.offset_source: current",
      "f.yaml:13:3 backup: does nothing without restore.backup_first",
    ]);
    const current = withKeys(groups, "offset_source: current");
    expect(parseRestore(`${current}${sourceWithoutTopics}`).source).toMatchObject({
      bootstrap_servers: ["old:9092"],
    });
    expect(problemsOf(`${current}${sourceText}`)).toEqual([
      "f.yaml:12:11 source.topics: does nothing without restore.backup_first",
    ]);
  });

  test("a login of the source is checked like the target's", () => {
    const text = `${first}${sourceText}  sasl_username: u\n`;
    expect(problemsOf(text)).toEqual([
      "f.yaml:13:18 source.sasl_username: does nothing without security_protocol SASL_PLAINTEXT or SASL_SSL",
    ]);
  });
});
