import { expect, test } from "vitest";
import type { GapOfPartition, HangingTransaction } from "#core/backup/contract.ts";
import type { DistributedBackupResult, Judgement } from "#core/backup/steps/contract.ts";
import { judgement } from "#core/backup/steps/contract.ts";
import { errorTable } from "#core/errors.ts";
import { toJson } from "#core/json.ts";
import type { FailedPartition } from "#core/partition-failure.ts";
import type { DistributedRestoreResult } from "#core/restore/steps/contract.ts";
import { excerpt } from "#core/work-items/excerpt.ts";

/** What Step Functions take as the input or output of a state. */
const stateBytesMax = 256 * 1024;

const offset = 2n ** 63n - 1n;
const partition = 2 ** 31 - 1;
const longestName = (i: number) => `${i}-${"t".repeat(243)}`.padEnd(249, "t");
const longText = (i: number) => `${i}: ${"the broker said why. ".repeat(250)}`;

function tenThousand<T>(one: (i: number) => T): T[] {
  return Array.from({ length: 10_000 }, (_, i) => one(i));
}

const longestErrorName = Object.keys(errorTable).reduce((a, b) => (a.length > b.length ? a : b));

const failures = tenThousand(
  (i): FailedPartition => ({
    topic: longestName(i),
    partition,
    from_offset: offset,
    error: longestErrorName,
    message: longText(i),
    hint: longText(i),
  }),
);

function bytesOf(value: unknown): number {
  return Buffer.byteLength(toJson(value));
}

test("of 10,000 entries the count is told, and the first 20 of them", () => {
  const all = tenThousand((i) => ({ topic: `t${i}`, partition: i }));
  const { count, first } = excerpt(all);
  expect(count).toBe(10_000);
  expect(first).toEqual(all.slice(0, 20));
});

test("a short list is told as it is", () => {
  const all = failures.slice(0, 3).map((one) => ({ ...one, message: "broken", hint: "" }));
  expect(excerpt(all)).toEqual({ count: 3, first: all });
  expect(excerpt([])).toEqual({ count: 0, first: [] });
});

test.each(["message", "hint", "reason", "remedy"])("a long %s is cut, and nothing else", (name) => {
  const topic = longestName(0);
  const { first } = excerpt([{ topic, [name]: longText(0) }]);
  expect(first).toEqual([{ topic, [name]: `${longText(0).slice(0, 500)}…` }]);
  const asLongAsMayBe = { topic, [name]: longText(0).slice(0, 500) };
  expect(excerpt([asLongAsMayBe]).first).toEqual([asLongAsMayBe]);
});

test("a text is never cut within a character", () => {
  const { first } = excerpt([{ message: `${"a".repeat(499)}😀 and on` }]);
  expect(first[0]?.message.isWellFormed()).toBe(true);
});

const worstJudgement: Judgement = {
  failed: excerpt(failures),
  hanging_transactions: excerpt(
    tenThousand(
      (i): HangingTransaction => ({
        topic: longestName(i),
        partition,
        producer_id: offset,
        start_offset: offset,
        age_ms: Number.MAX_SAFE_INTEGER,
      }),
    ),
  ),
  unread_transactions: excerpt(failures),
};

test("a backup in which everything went wrong tells it in less than half of a state's data", () => {
  const gaps = tenThousand(
    (i): GapOfPartition => ({
      topic: longestName(i),
      partition,
      from_offset: 0n,
      to_offset: offset,
      reason: "retention",
      run_id: "r".repeat(64),
      detected_at: offset,
    }),
  );
  const most = Number.MAX_SAFE_INTEGER;
  const result: DistributedBackupResult = {
    status: "done_with_gaps",
    backup_id: "b".repeat(255),
    run_id: "r".repeat(64),
    generation: most,
    topics: most,
    partitions: most,
    record_count: most,
    batch_count: most,
    batch_bytes: most,
    stored_bytes: most,
    segment_count: most,
    gaps: excerpt(gaps),
    ...worstJudgement,
    resumed: true,
    started_at: offset,
    finished_at: offset,
  };
  expect(bytesOf(result)).toBeLessThan(stateBytesMax / 2);
});

test("a judgement is handed from step to step as it is, in less than half of a state's data", () => {
  const json = toJson(worstJudgement);
  expect(Buffer.byteLength(json)).toBeLessThan(stateBytesMax / 2);
  expect(judgement.parse(JSON.parse(json))).toEqual(worstJudgement);
});

test("a restore in which everything went wrong tells it in less than half of a state's data", () => {
  const findings = tenThousand((i) => ({
    severity: "warning" as const,
    code: "message-timestamp-difference-max-kept",
    topic: longestName(i),
    partition,
    message: longText(i),
    remedy: longText(i),
  }));
  const kept = tenThousand((i) => ({
    topic: longestName(i),
    name: "message.timestamp.difference.max.ms",
    value: String(offset),
    wanted: String(offset),
    reason: longText(i),
    // A command is never cut: it is for pasting.
    command:
      `kafka-configs.sh --bootstrap-server ${"broker-1.kafka.example.com:9092,".repeat(20)} ` +
      `--alter --entity-type topics --entity-name ${longestName(i)} --add-config retention.ms=1`,
  }));
  const result: DistributedRestoreResult = {
    status: "incomplete",
    backup_id: "b".repeat(255),
    restore_id: "r".repeat(64),
    generation: Number.MAX_SAFE_INTEGER,
    target_cluster_id: "c".repeat(249),
    topics: Number.MAX_SAFE_INTEGER,
    partitions: Number.MAX_SAFE_INTEGER,
    record_count: offset,
    sent: { bytes: 2 ** 53 - 1, raw: 2 ** 53 - 1, encoded: 2 ** 53 - 1 },
    failed: excerpt(failures),
    findings: excerpt(findings),
    kept_settings: excerpt(kept),
    resumed: true,
    started_at: offset,
    finished_at: offset,
  };
  expect(bytesOf(result)).toBeLessThan(stateBytesMax / 2);
  expect(result.kept_settings.first[0]?.command).toBe(kept[0]!.command);
});
