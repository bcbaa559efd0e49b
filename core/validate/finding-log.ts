import { type Finding, type Severity, severities } from "#core/validate/findings.ts";

/** One finding is about 500 bytes: 5 MB, and more than anybody reads. All are counted. */
export const findingsKeptMax = 10_000;

export interface LoggedFindings {
  /** The gravest ones first to be kept, in the order found. */
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Record<Severity, number>>;
  /** How many were counted but not kept. */
  readonly left_out: number;
}

/** Gathers findings in bounded memory: counts all, keeps the first `keptMax`. */
export class FindingLog {
  readonly #keptMax: number;
  readonly #kept: Finding[] = [];
  readonly #counts: Record<Severity, number> = { error: 0, warning: 0, info: 0 };

  constructor(keptMax = findingsKeptMax) {
    this.#keptMax = keptMax;
  }

  add(...findings: readonly Finding[]): void {
    for (const finding of findings) {
      this.#counts[finding.severity]++;
      this.#keep(finding);
    }
  }

  /** Adds what another log gathered. */
  addLogged({ findings, counts }: LoggedFindings): void {
    for (const severity of severities) this.#counts[severity] += counts[severity];
    for (const finding of findings) this.#keep(finding);
  }

  result(): LoggedFindings {
    const all = severities.reduce((sum, severity) => sum + this.#counts[severity], 0);
    return {
      findings: [...this.#kept],
      counts: { ...this.#counts },
      left_out: all - this.#kept.length,
    };
  }

  /** An error is never crowded out by what is less grave. */
  #keep(finding: Finding): void {
    if (this.#kept.length >= this.#keptMax) {
      if (finding.severity !== "error") return;
      const lessGrave = this.#kept.findLastIndex(({ severity }) => severity !== "error");
      if (lessGrave === -1) return;
      this.#kept.splice(lessGrave, 1);
    }
    this.#kept.push(finding);
  }
}
