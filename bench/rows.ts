/** Lines of a comparison: the medians of several runs, and what they are measured against. */

export type Unit = "s" | "ms" | "MB" | "MB/s" | "x";

export interface Target {
  readonly of: "ratio" | "ours";
  readonly kind: "at most" | "at least";
  readonly value: number;
}

export interface Row {
  readonly what: string;
  readonly unit: Unit;
  readonly ours: number;
  readonly theirs?: number;
  /** Ours to theirs. */
  readonly ratio?: number;
  readonly target?: Target;
  readonly isReached?: boolean;
}

export interface Section {
  readonly name: string;
  readonly title: string;
  /** What the two columns of numbers are. */
  readonly columns: readonly [ours: string, theirs: string];
  readonly rows: readonly Row[];
}

export const ratioAtMost = (value: number): Target => ({ of: "ratio", kind: "at most", value });
export const atMost = (value: number): Target => ({ of: "ours", kind: "at most", value });
export const atLeast = (value: number): Target => ({ of: "ours", kind: "at least", value });

export function row(
  what: string,
  unit: Unit,
  ours: number,
  { theirs, target }: { theirs?: number; target?: Target | undefined } = {},
): Row {
  const ratio = theirs === undefined ? undefined : ours / theirs;
  const judged = target?.of === "ratio" ? ratio : ours;
  return {
    ...{ what, unit, ours },
    ...(theirs !== undefined && { theirs, ratio: ours / theirs }),
    ...(target !== undefined &&
      judged !== undefined && { target, isReached: meets(judged, target) }),
  };
}

function meets(value: number, target: Target): boolean {
  return target.kind === "at most" ? value <= target.value : value >= target.value;
}

export function medianOf<Run>(runs: readonly Run[], measureOf: (run: Run) => number): number {
  const values = runs.map(measureOf).sort((a, b) => a - b);
  const middle = values.length / 2;
  return (values[Math.ceil(middle) - 1]! + values[Math.floor(middle)]!) / 2;
}

/** The value that 99 of 100 are not above. */
export function percentile99(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.NaN;
}
