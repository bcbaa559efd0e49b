/** Runs checks so that none hides another: one that fails or hangs is a finding. */
import {
  type CheckName,
  type CheckResult,
  checkNames,
  type DoctorFinding,
  type Found,
  type Subject,
  subjects,
} from "#core/doctor/contract.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Clock } from "#core/runtime.ts";

/**
 * Connecting to what drops packets takes 4 s (`brokers.ts`), a request to it that is repeated once
 * or twice some 15 s: what takes longer hangs.
 */
export const checkTimeoutMs = 30_000;

/** What a check that was done has seen, and hands on to those that build on it. */
export interface Checked<T> {
  readonly seen: string;
  readonly findings?: readonly Found[];
  readonly value: T;
}

export class Examination {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  readonly #timeoutMs: number;
  readonly #results: CheckResult[] = [];
  readonly #findings: DoctorFinding[] = [];

  constructor(clock: Clock, signal: AbortSignal, timeoutMs = checkTimeoutMs) {
    this.#clock = clock;
    this.#signal = signal;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * Resolves with the check's value, or undefined where it could not be done. Rejects with the
   * reason of the signal when that aborts, and with what is no BackupError. `work` is handed a
   * signal that aborts when nobody waits for it any more.
   */
  async check<T>(
    subject: Subject,
    check: CheckName,
    work: (signal: AbortSignal) => Promise<Checked<T>>,
  ): Promise<T | undefined> {
    const startedMs = this.#clock.monotonicMs();
    const told = (status: CheckResult["status"], seen: string, findings: readonly Found[]) => {
      const duration_ms = Math.round(this.#clock.monotonicMs() - startedMs);
      this.#results.push({ subject, check, status, seen, duration_ms });
      this.#findings.push(...findings.map((found) => ({ ...found, subject, check })));
    };
    try {
      const { seen, findings = [], value } = await this.#inTime(work);
      const isClean = findings.every(({ severity }) => severity === "info");
      told(isClean ? "passed" : "found", seen, findings);
      return value;
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!isBackupError(error)) throw error;
      const { name, message, hint: remedy } = error;
      const failure = { severity: "error", code: "check-failed", remedy } as const;
      told("failed", "not done", [{ ...failure, message: `${name}: ${message}` }]);
      return undefined;
    }
  }

  skip(subject: Subject, checks: readonly CheckName[], seen: string): void {
    for (const check of checks) {
      this.#results.push({ subject, check, status: "skipped", seen, duration_ms: 0 });
    }
  }

  results(): { checks: CheckResult[]; findings: DoctorFinding[] } {
    return {
      checks: this.#results.toSorted(inOrder),
      findings: this.#findings.toSorted(inOrder),
    };
  }

  async #inTime<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController();
    const signal = AbortSignal.any([this.#signal, over.signal]);
    const timer = this.#clock.sleep(this.#timeoutMs, signal).then(() => {
      throw new BackupError(
        "InvalidRequestError",
        `no end within ${this.#timeoutMs / 1000} s; it was given up`,
        { hint: "Look whether that service answers at all; run doctor again when it does." },
      );
    });
    const working = work(signal);
    // Whichever is later rejects when nobody listens any more.
    for (const late of [timer, working]) late.catch(() => {});
    try {
      return await Promise.race([working, timer]);
    } finally {
      over.abort(new BackupError("CancelledError", "the check is over"));
    }
  }
}

type Place = Pick<DoctorFinding, "subject" | "check">;

function inOrder(a: Place, b: Place): number {
  const bySubject = subjects.indexOf(a.subject) - subjects.indexOf(b.subject);
  return bySubject || checkNames.indexOf(a.check) - checkNames.indexOf(b.check);
}
