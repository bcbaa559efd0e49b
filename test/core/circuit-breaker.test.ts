import { expect, test } from "vitest";
import { CircuitBreaker } from "#core/circuit-breaker.ts";
import { BackupError } from "#core/errors.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const gone = () => new BackupError("BrokerUnavailableError", "kafka:9092: ECONNREFUSED");

/** `failures` in a row, the first `forMs` before the last. */
async function failing(clock: FakeClock, fail: () => void, failures: number, forMs: number) {
  fail();
  for (let i = 1; i < failures; i++) {
    await clock.advance(forMs / (failures - 1));
    fail();
  }
}

function started() {
  const clock = new FakeClock(Date.UTC(2026, 10, 21, 14));
  const breaker = new CircuitBreaker(clock);
  const watch = breaker.watch("brokers of the source");
  const signal = breaker.beginRun();
  return { clock, breaker, watch, signal, fail: () => watch.failed(gone()) };
}

test("C3 a call that gave up after failures in a row without an answer ends the run, and says why", async () => {
  const { clock, watch, signal, fail } = started();
  await failing(clock, fail, 16, 30_000);
  expect(signal.aborted).toBe(false);
  const error = watch.gaveUp(gone());
  expect(error).toMatchObject({
    name: "CircuitOpenError",
    message:
      "the brokers of the source answered nothing since 2026-11-21T14:00:00.000Z, for 30 s: " +
      "16 requests failed in a row, the last with BrokerUnavailableError: " +
      "kafka:9092: ECONNREFUSED",
    details: { failures: 16, since: "2026-11-21T14:00:00.000Z" },
  });
  expect(signal.reason).toBe(error);
  expect(() => watch.throwIfOpen()).toThrow(error as Error);
});

test("a call that gave up while others are answered ends nothing but itself", async () => {
  const { clock, watch, signal, fail } = started();
  await failing(clock, fail, 16, 30_000);
  watch.answered();
  await failing(clock, fail, 4, 30_000);
  const error = gone();
  expect(watch.gaveUp(error)).toBe(error);
  expect(signal.aborted).toBe(false);
});

test("few failures, and many within a moment, are no outage", async () => {
  const few = started();
  await failing(few.clock, few.fail, 4, 60_000);
  few.watch.gaveUp(gone());
  expect(few.signal.aborted).toBe(false);
  const quick = started();
  await failing(quick.clock, quick.fail, 100, 9_000);
  quick.watch.gaveUp(gone());
  expect(quick.signal.aborted).toBe(false);
});

test("a refusal is an answer", async () => {
  const { clock, watch, signal, fail } = started();
  await failing(clock, fail, 16, 30_000);
  watch.failed(new BackupError("AccessDeniedError", "denied"));
  watch.gaveUp(gone());
  expect(signal.aborted).toBe(false);
});

test("answers of one service hide nothing of another's silence", async () => {
  const { clock, breaker, watch, signal, fail } = started();
  const storage = breaker.watch("storage");
  await failing(
    clock,
    () => {
      fail();
      storage.answered();
    },
    16,
    30_000,
  );
  watch.gaveUp(gone());
  expect(signal.reason).toMatchObject({ name: "CircuitOpenError" });
});

test("a new run knows nothing of the failures of the one before", async () => {
  const { clock, breaker, watch, fail } = started();
  await failing(clock, fail, 16, 30_000);
  watch.gaveUp(gone());
  const signal = breaker.beginRun();
  const error = gone();
  expect(watch.gaveUp(error)).toBe(error);
  watch.throwIfOpen();
  expect(signal.aborted).toBe(false);
});

test("failures of a worker's short turns at one run add up, until something answers", async () => {
  const clock = new FakeClock();
  const breaker = new CircuitBreaker(clock);
  const watch = breaker.watch("brokers of the source");
  /** As of one partition whose broker swallows each request for as long as a call is repeated. */
  const turn = async (run: string) => {
    const signal = breaker.beginRun(run);
    await failing(clock, () => watch.failed(gone()), 3, 30_000);
    watch.gaveUp(gone());
    return signal.aborted;
  };
  expect(await turn("one")).toBe(false);
  expect(await turn("other")).toBe(false);
  expect(await turn("other")).toBe(true);
  watch.answered();
  expect(await turn("other")).toBe(false);
});

test("without a run there is nothing to end", async () => {
  const clock = new FakeClock();
  const watch = new CircuitBreaker(clock).watch("storage");
  await failing(clock, () => watch.failed(gone()), 16, 30_000);
  const error = gone();
  expect(watch.gaveUp(error)).toBe(error);
});
