import { expect, test } from "vitest";
import { checkTimeoutMs, Examination } from "#core/doctor/examination.ts";
import { BackupError } from "#core/errors.ts";
import { systemClock } from "#core/system.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

const never = new AbortController().signal;

function newExamination(signal = never) {
  const clock = new FakeClock();
  return { clock, examination: new Examination(clock, signal) };
}

test("what a check throws is a finding, and the others are done all the same", async () => {
  const { examination } = newExamination();
  const [failed, done] = await Promise.all([
    examination.check("storage", "access", async () => {
      throw new BackupError("AccessDeniedError", "s3://b: cannot list", { hint: "Grant it." });
    }),
    examination.check("source", "topics", async () => ({ seen: "two topics", value: 2 })),
  ]);
  expect([failed, done]).toEqual([undefined, 2]);
  const { checks, findings } = examination.results();
  expect(checks).toMatchObject([
    { subject: "source", check: "topics", status: "passed", seen: "two topics" },
    { subject: "storage", check: "access", status: "failed" },
  ]);
  expect(findings).toEqual([
    {
      ...{ severity: "error", code: "check-failed", subject: "storage", check: "access" },
      message: "AccessDeniedError: s3://b: cannot list",
      remedy: "Grant it.",
    },
  ]);
});

test("a check that hangs is given up, and is told so", async () => {
  const { clock, examination } = newExamination();
  let wasTold = false;
  const checking = examination.check("source", "brokers", (signal) => {
    signal.addEventListener("abort", () => {
      wasTold = true;
    });
    return new Promise<never>(() => {});
  });
  await clock.advance(checkTimeoutMs);
  expect(await checking).toBeUndefined();
  expect(wasTold).toBe(true);
  const { checks, findings } = examination.results();
  expect(checks).toMatchObject([{ status: "failed", duration_ms: checkTimeoutMs }]);
  expect(findings).toMatchObject([
    { code: "check-failed", message: expect.stringContaining("no end within 30 s") },
  ]);
});

test("a check that fails after it was given up disturbs nobody", async () => {
  const { clock, examination } = newExamination();
  const late = Promise.withResolvers<never>();
  const checking = examination.check("source", "brokers", () => late.promise);
  await clock.advance(checkTimeoutMs);
  await checking;
  late.reject(new BackupError("BrokerUnavailableError", "too late"));
  expect(examination.results().findings).toHaveLength(1);
});

test("an operator's wish to stop is no finding", async () => {
  const abort = new AbortController();
  const examination = new Examination(systemClock, abort.signal);
  const stop = new BackupError("CancelledError", "stopped by SIGINT");
  const checking = examination.check("source", "brokers", () => new Promise<never>(() => {}));
  abort.abort(stop);
  await expect(checking).rejects.toBe(stop);
});

test("a defect of this program is not taken for one of the cluster", async () => {
  const { examination } = newExamination();
  const defect = new TypeError("x is not a function");
  const checking = examination.check("source", "brokers", () => Promise.reject<never>(defect));
  await expect(checking).rejects.toBe(defect);
});

test("what is for the record only leaves a check passed", async () => {
  const { examination } = newExamination();
  const finding = {
    severity: "info",
    code: "lease-held",
    message: "held",
    remedy: "wait",
  } as const;
  await examination.check("storage", "lease", async () => {
    return { seen: "a run", findings: [finding], value: undefined };
  });
  examination.skip("source", ["topics"], "no broker answers");
  expect(examination.results().checks).toMatchObject([
    { check: "topics", status: "skipped", seen: "no broker answers" },
    { check: "lease", status: "passed" },
  ]);
});
