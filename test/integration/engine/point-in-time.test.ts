/** Restores of a time window against a naive model: the source's records, filtered one by one. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { produceTraffic, recordsOf, type SeenRecord } from "#test/support/oracle.ts";

let cluster: Cluster;
let engine: TestEngine;
let createTime: string;
let appendTime: string;
let records: SeenRecord[];

beforeAll(async () => {
  cluster = await connectForTests();
  createTime = await createTopic(cluster, { config: { "retention.ms": "-1" } });
  appendTime = await createTopic(cluster, {
    config: { "message.timestamp.type": "LogAppendTime" },
  });
  await produceTraffic([
    ["times", createTime],
    ["times", appendTime],
  ]);
  engine = testEngine(cluster);
  await engine.backup([createTime, appendTime], { segment_max_bytes: 64 * 1024 });
  records = await recordsOf([createTime, appendTime]);
});

afterAll(() => cluster.disconnect());

/** Bounds that are the timestamps of records in the middle of the topic. */
function boundsIn(topic: string): { start: bigint; end: bigint } {
  const times = records
    .filter((record) => record.topic === topic)
    .map(({ timestamp }) => timestamp);
  times.sort((a, b) => Number(a - b));
  return { start: times[Math.floor(times.length / 3)]!, end: times[Math.floor(times.length / 2)]! };
}

async function restoredWithin(topic: string, window: { start?: bigint; end?: bigint }) {
  const restored = randomName("restored");
  await engine.restore({ [topic]: restored }, { window });
  const found = await recordsOf([restored]);
  const wanted = records.filter(
    ({ topic: name, timestamp }) =>
      name === topic &&
      (window.start === undefined || timestamp >= window.start) &&
      (window.end === undefined || timestamp <= window.end),
  );
  const visible = ({ timestamp, content }: SeenRecord) => `${timestamp}\t${content}`;
  return { found: found.map(visible), wanted: wanted.map(visible) };
}

describe.each([
  ["R9 records with timestamps out of order", () => createTime],
  ["F8 R9 LogAppendTime records", () => appendTime],
])("%s", (_, topic) => {
  test("up to a millisecond, inclusive", async () => {
    const { end } = boundsIn(topic());
    const { found, wanted } = await restoredWithin(topic(), { end });
    expect(found).toEqual(wanted);
    expect(wanted.length).toBeGreaterThan(0);
    expect(wanted.some((line) => line.startsWith(`${end}\t`))).toBe(true);
  });

  test("from a millisecond on, inclusive", async () => {
    const { start } = boundsIn(topic());
    const { found, wanted } = await restoredWithin(topic(), { start });
    expect(found).toEqual(wanted);
    expect(wanted.some((line) => line.startsWith(`${start}\t`))).toBe(true);
  });

  test("between two, inclusive", async () => {
    const window = boundsIn(topic());
    const { found, wanted } = await restoredWithin(topic(), window);
    expect(found).toEqual(wanted);
    expect(wanted.length).toBeGreaterThan(0);
  });

  test("before the first record there is nothing", async () => {
    const { found } = await restoredWithin(topic(), { end: 1_000_000_000_000n });
    expect(found).toEqual([]);
  });
});

test("R9 a batch lies across the bounds of these tests", async () => {
  const { end } = boundsIn(createTime);
  const restored = randomName("restored");
  const result = await engine.restore({ [createTime]: restored }, { window: { end } });
  expect(result.report.sent.encoded).toBeGreaterThan(0);
  expect(result.report.sent.raw).toBeGreaterThan(0);
});
