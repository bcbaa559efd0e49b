/** Sections as tables for people. */
import Table from "cli-table3";
import type { Row, Section, Unit } from "./rows.ts";

export function sectionText({ name, title, columns, rows }: Section): string {
  const table = new Table({
    head: ["", ...columns, "ratio", "target", ""],
    colAligns: ["left", "right", "right", "right", "left", "left"],
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    chars: plainColumns,
  });
  table.push(...rows.map(cells));
  return `${title}  [${name}]\n${table.toString().replaceAll(/ +$/gm, "")}\n`;
}

function cells(each: Row): string[] {
  const { what, unit, ours, theirs, ratio, target, isReached } = each;
  return [
    what,
    valueText(ours, unit),
    theirs === undefined ? "" : valueText(theirs, unit),
    ratio === undefined ? "" : ratio.toFixed(2),
    target === undefined ? "" : targetText(each),
    isReached === undefined ? "" : isReached ? "reached" : "MISSED",
  ];
}

function targetText({ target, unit }: Row): string {
  const sign = target?.kind === "at most" ? "<=" : ">=";
  return target?.of === "ratio"
    ? `ratio ${sign} ${target.value}`
    : `${sign} ${target?.value} ${unit}`;
}

const digits: Record<Unit, number> = { s: 2, ms: 1, MB: 0, "MB/s": 0, x: 2 };

function valueText(value: number, unit: Unit): string {
  return `${value.toFixed(digits[unit])} ${unit}`;
}

const plainColumns = {
  ...{ top: "", "top-mid": "", "top-left": "", "top-right": "" },
  ...{ bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" },
  ...{ left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "" },
  middle: "   ",
};
