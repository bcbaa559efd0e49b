import { expect, test } from "vitest";
import { backupRequestOf } from "#core/backup/request.ts";
import { selectTopics, type TopicPatterns } from "#core/backup/select-topics.ts";
import { parseConfig } from "#core/config/parse.ts";
import { backupFirstOf, type Config } from "#core/config/schema.ts";
import type { TopicDescription } from "#core/kafka/cluster.ts";

function topicOf(name: string): TopicDescription {
  const description = { name, topicId: "id", internal: name.startsWith("__"), partitions: [] };
  return { ...description, authorizedOperations: undefined };
}

const topics = ["orders-us", "orders-eu", "orders-tmp", "payments", "__consumer_offsets"];

function selected(patterns: Partial<TopicPatterns>): string[] {
  const all = topics.map(topicOf);
  return selectTopics(all, { include: [], exclude: [], ...patterns }).map(({ name }) => name);
}

function parsed(config: object): Config {
  return parseConfig(JSON.stringify(config), { fileName: "config.yaml", env: {} });
}

const absent = (message: string) =>
  expect.objectContaining({
    name: "TopicNotFoundError",
    message: expect.stringContaining(message),
  });

test("names and globs select topics once each, by name, but for those that are left out", () => {
  expect(selected({ include: ["payments", "orders-*", "orders-eu"], exclude: ["*-tmp"] })).toEqual([
    "orders-eu",
    "orders-us",
    "payments",
  ]);
});

test("a glob passes over Kafka's own topics, a name does not", () => {
  expect(selected({ include: ["*"] })).not.toContain("__consumer_offsets");
  expect(selected({ include: ["__consumer_offsets"] })).toEqual(["__consumer_offsets"]);
});

test.each([undefined, false, true])(
  "K6 a topic that is named and missing fails, allow_no_match %s",
  (allow_no_match) => {
    const patterns = { include: ["orders-*", "invoices"], allow_no_match };
    expect(() => selected(patterns)).toThrow(absent('topic "invoices" of topics.include'));
  },
);

test.each([undefined, false])(
  "K6 a pattern that matches nothing fails, allow_no_match %s",
  (allow_no_match) => {
    const patterns = { include: ["orders-*", "invoices-*"], allow_no_match };
    expect(() => selected(patterns)).toThrow(absent('no topic matches the pattern "invoices-*"'));
  },
);

test("K6 a pattern that may match nothing is passed over, and the others are taken", () => {
  const include = ["invoices-*", "orders-*", "payments"];
  expect(selected({ include, exclude: ["*-tmp"], allow_no_match: true })).toEqual([
    "orders-eu",
    "orders-us",
    "payments",
  ]);
});

test.each([
  { include: ["invoices-*"], exclude: [] },
  { include: ["invoices-*", "receipts-?"], exclude: ["*-tmp"] },
  { include: ["orders-t*"], exclude: ["*-tmp"] },
])("K6 patterns that may match nothing may take no topic at all: %o", (patterns) => {
  expect(selected({ ...patterns, allow_no_match: true })).toEqual([]);
  expect(() => selected(patterns)).toThrow(absent("topics.include"));
});

test("K6 a name that `exclude` leaves out is a contradiction, whatever patterns may match", () => {
  const patterns = { include: ["payments", "invoices-*"], exclude: ["pay*"] };
  const refusal = absent("topics.exclude [pay*] leaves nothing of topics.include");
  expect(() => selected({ ...patterns, allow_no_match: true })).toThrow(refusal);
});

test.each([
  [{}, false],
  [{ allow_no_match: false }, false],
  [{ allow_no_match: true }, true],
])("K6 a backup, and one before a restore, may what its file says: %o", (said, may) => {
  const connection = { bootstrap_servers: ["kafka:9092"] };
  const source = { ...connection, topics: { include: ["invoices-*"], ...said } };
  const storage = { backend: "filesystem", path: "/backups" };
  const shared = { backup_id: "invoices", source, storage };
  const restore = { backup_first: true, auto_consumer_groups: true };
  const backup = parsed({ mode: "backup", ...shared });
  const before = parsed({ mode: "restore", ...shared, target: connection, restore });
  for (const config of [backup, before.mode === "restore" && backupFirstOf(before)]) {
    const request = config && config.mode === "backup" && backupRequestOf(config);
    expect(request).toMatchObject({ topics: { allow_no_match: may } });
  }
});
