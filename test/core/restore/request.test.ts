import { expect, test } from "vitest";
import { requestSha256, restoreRequest, restoreSettingsOf } from "#core/restore/request.ts";
import { parseRestore, restoreText } from "#test/core/config/configuration.ts";
import { requestOf } from "#test/support/restore-requests.ts";

const problemsOf = (request: unknown) =>
  restoreRequest.safeParse(request).error?.issues.map(({ message }) => message);

test("a request survives JSON", () => {
  const request = requestOf({
    window: { start: 1_700_000_000_000n, end: 1_700_000_000_001n },
    topic_mapping: { orders: "orders-restored" },
    partition_mapping: { orders: { 0: 1, 1: 0 } },
    lineage: { orders: { 0: 2 } },
  });
  const json = JSON.stringify(request, (_, value) =>
    typeof value === "bigint" ? String(value) : value,
  );
  expect(restoreRequest.parse(JSON.parse(json))).toEqual(request);
});

test("R9: a time of ten digits is refused as seconds", () => {
  expect(problemsOf(requestOf({ window: { end: 1_700_000_000n } }))).toEqual([
    "1700000000 looks like seconds; times are milliseconds: 1700000000000",
  ]);
  expect(problemsOf(requestOf({ window: { start: 9_999_999_999n } }))).toHaveLength(1);
  expect(problemsOf(requestOf({ window: { start: 10_000_000_000n } }))).toBeUndefined();
  expect(problemsOf(requestOf({ window: { start: 999_999_999n } }))).toBeUndefined();
});

test("a window that ends before it starts is refused", () => {
  const window = { start: 1_700_000_000_001n, end: 1_700_000_000_000n };
  expect(problemsOf(requestOf({ window }))).toEqual([
    "the window ends (1700000000000) before it starts (1700000000001)",
  ]);
});

test("a window of a single millisecond is accepted", () => {
  const window = { start: 1_700_000_000_000n, end: 1_700_000_000_000n };
  expect(problemsOf(requestOf({ window }))).toBeUndefined();
});

test("the hash does not depend on the order of keys and patterns", () => {
  const request = requestOf({
    topics: { include: ["a", "b"], exclude: ["c", "d"] },
    topic_mapping: { a: "x", b: "y" },
  });
  const { backup_id, ...rest } = request;
  const turned = {
    ...rest,
    topic_mapping: { b: "y", a: "x" },
    topics: { exclude: ["d", "c"], include: ["b", "a"] },
    backup_id,
  };
  expect(requestSha256(turned)).toBe(requestSha256(request));
});

test("the hash does not depend on the consent to append", () => {
  const sha256 = requestSha256(requestOf({ allow_non_empty: true }));
  expect(sha256).toBe(requestSha256(requestOf({ allow_non_empty: false })));
});

test("the hash of a request without a word on offset headers is what it always was", () => {
  const sha256 = requestSha256(requestOf({ include_offset_headers: undefined }));
  expect(sha256).toBe(requestSha256(requestOf()));
  expect(sha256).toBe("00fb06b653c0579b3ad65211b685eef8360163e077ae1ce636a26b5be731d11d");
});

test.each([
  ["backup", { backup_id: "other" }],
  ["generation", { generation: 2 }],
  ["window", { window: { end: 1_700_000_000_000n } }],
  ["topics", { topics: { include: ["orders"], exclude: [] } }],
  ["topic mapping", { topic_mapping: { orders: "restored" } }],
  ["partition mapping", { partition_mapping: { orders: { 0: 1 } } }],
  ["lineage", { lineage: 1 }],
  ["creation of topics", { create_topics: false }],
  ["wish for offset headers", { include_offset_headers: true }],
  ["wish for no offset headers", { include_offset_headers: false }],
])("another %s is another request", (_what, change) => {
  expect(requestSha256(requestOf(change))).not.toBe(requestSha256(requestOf()));
});

function settingsOf(lines: readonly string[]) {
  return restoreSettingsOf(
    parseRestore(`${restoreText}${lines.map((line) => `  ${line}\n`).join("")}`),
  );
}

test("K5 a limit in the configuration is one of the restore's settings, in bytes", () => {
  expect(settingsOf(["max_bytes_per_second: 50MiB"]).max_bytes_per_second).toBe(52_428_800);
  expect(settingsOf(["max_bytes_per_second: 123456"]).max_bytes_per_second).toBe(123_456);
  expect(settingsOf(["create_topics: true"])).not.toHaveProperty("max_bytes_per_second");
});

test("how a restore is gone about comes out of the configuration", () => {
  expect(settingsOf(["max_concurrent_partitions: 9", "checkpoint_interval_secs: 7"])).toEqual({
    max_concurrent_partitions: 9,
    checkpoint_interval_ms: 7_000,
    bootstrap_servers: ["kafka:9092"],
  });
});
