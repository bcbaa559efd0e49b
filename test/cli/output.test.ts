import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { terminalLogger } from "#cli/logger.ts";
import { type Format, tableText, writeData } from "#cli/output.ts";
import { showProgress } from "#cli/progress.ts";
import { hasColour, Terminal } from "#cli/terminal.ts";
import {
  bytesText,
  countText,
  durationText,
  numbered,
  rateText,
  ratioText,
  timeText,
} from "#cli/text.ts";
import type { Clock } from "#core/runtime.ts";
import { fakeIo } from "#test/cli/fake-io.ts";

describe("data", () => {
  const value = { offset: 12n, big: 2n ** 60n, name: "yes", list: [] };

  async function written(format: Format): Promise<string> {
    const io = fakeIo();
    await writeData(io, format, value, () => "for people");
    expect(io.err()).toBe("");
    return io.out();
  }

  test("as JSON, with integers that every reader keeps", async () => {
    expect(JSON.parse(await written("json"))).toEqual({
      offset: 12,
      big: "1152921504606846976",
      name: "yes",
      list: [],
    });
  });

  test("as YAML that reads back as the same", async () => {
    expect(parse(await written("yaml"))).toEqual(JSON.parse(await written("json")));
  });

  test("for people, ending in one line feed", async () => {
    expect(await written("table")).toBe("for people\n");
  });
});

describe("tables", () => {
  const table = {
    head: ["topic", "records"],
    rows: [
      ["orders", "12"],
      ["a", "1,000"],
    ],
    alignRight: [1],
  };

  test("are plain columns where no terminal is", async () => {
    expect(await tableText(fakeIo(), table)).toBe(
      "topic   records\norders       12\na         1,000\n",
    );
  });

  test("have borders on a terminal", async () => {
    expect(await tableText(fakeIo({ isTTY: true }), table)).toContain("│ orders │      12 │");
  });

  test("hold no control characters, whatever a name holds", async () => {
    const rows = [["\u001b[31mred\u0000", "\u009b"]];
    for (const isTTY of [true, false]) {
      const text = await tableText(fakeIo({ isTTY }), { head: ["a", "b"], rows });
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    }
  });
});

test("sizes, rates, durations, times and counts read well", () => {
  expect([0, 1023, 1024, 1536, 2 ** 20 - 1, 134_217_728, 2 ** 60].map(bytesText)).toEqual([
    "0 B",
    "1,023 B",
    "1 KiB",
    "1.5 KiB",
    "1 MiB",
    "128 MiB",
    "1,024 PiB",
  ]);
  expect([0, 1234, 59_499, 59_500, 245_000, 7_380_000, 435_600_000].map(durationText)).toEqual([
    "0.0 s",
    "1.2 s",
    "59 s",
    "1 min 00 s",
    "4 min 05 s",
    "2 h 03 min",
    "5 d 01 h",
  ]);
  expect(rateText(52_428_800, 500)).toBe("100 MiB/s");
  expect(rateText(1, 0)).toBe("-");
  expect(ratioText(440, 100)).toBe("4.4x");
  expect(ratioText(1, 0)).toBe("-");
  expect(countText(1_234_567n)).toBe("1,234,567");
  expect(numbered(1, "topic")).toBe("1 topic");
  expect(numbered(2, "topic")).toBe("2 topics");
  expect(timeText(1736985600000n)).toBe("2025-01-16T00:00:00.000Z");
  expect(timeText(undefined)).toBe("-");
  expect(timeText(-1n)).toBe("-");
  expect(timeText(2n ** 62n)).toBe(String(2n ** 62n));
});

test("colours are for terminals without NO_COLOR", () => {
  const [terminal, pipe] = [{ isTTY: true, write() {} }, { write() {} }];
  expect(hasColour(terminal, {})).toBe(true);
  expect(hasColour(terminal, { NO_COLOR: "" })).toBe(true);
  expect(hasColour(terminal, { NO_COLOR: "1" })).toBe(false);
  expect(hasColour(terminal, { TERM: "dumb" })).toBe(false);
  expect(hasColour(pipe, {})).toBe(false);
});

const clock: Clock = {
  nowMs: () => 1736985600000,
  monotonicMs: () => performance.now(),
  sleep: async () => {},
};

test("a table that is wider than the terminal has a line for each cell", async () => {
  const table = {
    head: ["topic", "records"],
    rows: [
      ["orders", "1"],
      ["pay\u001bments", "2"],
    ],
  };
  const wide = await tableText(fakeIo({ isTTY: true, columns: 80 }), table);
  expect(wide).toContain("│ orders");
  const narrow = await tableText(fakeIo({ isTTY: true, columns: 20 }), table);
  expect(narrow).toBe("topic:   orders\nrecords: 1\n\ntopic:   pay\ufffdments\nrecords: 2\n");
  const piped = await tableText(fakeIo({ columns: 20 }), table);
  expect(piped).toContain("orders");
  expect(piped.split("\n")[0]).toMatch(/^topic +records$/);
});

test("log lines hold time, level, message and fields, from the chosen level on", () => {
  const io = fakeIo();
  const logger = terminalLogger(new Terminal(io.stderr, {}), clock, "warn");
  logger.info("not told");
  logger.warn("slow broker", {
    broker: "kafka-1:9092",
    ms: 12n,
    why: "no answer",
    cause: new Error("x"),
  });
  expect(io.err()).toBe(
    "2025-01-16T00:00:00.000Z warn  slow broker broker=kafka-1:9092 ms=12 " +
      'why="no answer" cause="Error: x"\n',
  );
});

describe("progress", () => {
  beforeEach(
    () => void vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] }),
  );
  afterEach(() => void vi.useRealTimers());

  const planned = { kind: "planned", partitions: 2, records: 1000 } as const;
  const advanced = {
    kind: "advanced",
    topic: "t",
    partition: 0,
    records: 250,
    bytes: 2 ** 20,
  } as const;

  test("a field whose value the message has is not told twice", () => {
    const io = fakeIo();
    const logger = terminalLogger(new Terminal(io.stderr, {}), clock, "info");
    logger.info("restore 20260101T000000Z-b: prepare", { phase: "prepare", topic: "orders" });
    logger.info("beginning restore orders-1", { topic: "orders" });
    expect(
      io
        .err()
        .split("\n")
        .map((line) => line.replace(/^\S+ /, "")),
    ).toEqual([
      "info  restore 20260101T000000Z-b: prepare topic=orders",
      "info  beginning restore orders-1 topic=orders",
      "",
    ]);
  });

  test("elsewhere than on a terminal is a plain line every 10 seconds", () => {
    const io = fakeIo();
    const { onProgress, stop } = showProgress(new Terminal(io.stderr, {}), clock, "backup");
    vi.advanceTimersByTime(60_000);
    expect(io.err()).toBe("");
    onProgress(planned);
    vi.advanceTimersByTime(5_000);
    onProgress(advanced);
    vi.advanceTimersByTime(5_000);
    expect(io.err()).toBe(
      "backup: 25%, 0/2 partitions, 250 records, 1 MiB, 102 KiB/s, 30 s left\n",
    );
    stop();
    vi.advanceTimersByTime(60_000);
    expect(io.err().split("\n")).toHaveLength(2);
  });

  test("on a terminal is one line that is drawn over, kept below log lines, and removed", () => {
    const io = fakeIo({ isTTY: true, columns: 30 });
    const terminal = new Terminal(io.stderr, {});
    const { onProgress, stop } = showProgress(terminal, clock, "backup");
    onProgress(planned);
    vi.advanceTimersByTime(200);
    const status = "backup: 0%, 0/2 partitions, 0";
    expect(io.err()).toBe(`\r\u001b[K${status}`);
    terminal.line("a line");
    expect(io.err()).toBe(`\r\u001b[K${status}\r\u001b[Ka line\n${status}`);
    stop();
    expect(io.err().endsWith("\r\u001b[K")).toBe(true);
  });

  test("a stalled run is said to wait", () => {
    const io = fakeIo();
    const { onProgress, stop } = showProgress(new Terminal(io.stderr, {}), clock, "restore");
    onProgress(planned);
    onProgress(advanced);
    onProgress({ kind: "finished", topic: "t", partition: 0 });
    vi.advanceTimersByTime(40_000);
    stop();
    expect(io.err().trimEnd().split("\n").at(-1)).toBe(
      "restore: 25%, 1/2 partitions, 250 records, 1 MiB, 0 B/s, waiting",
    );
  });
});
