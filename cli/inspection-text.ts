/** Records for people: a line each, or all there is of each. */
import type { Io } from "#cli/io.ts";
import { printable, tableText } from "#cli/output.ts";
import { bytesText, timeText } from "#cli/text.ts";
import type { InspectedRecord, Inspection } from "#core/inspect/inspect.ts";
import type { ShownBytes } from "#core/inspect/shown-bytes.ts";

const lineWidthDefault = 120;
/** Offset, time and the space between columns take so many characters of a line. */
const otherColumnsWidth = 60;
/** Of what is left, the key takes a quarter and the value the rest. */
const keyShare = 4;
const widthMin = 12;

export async function inspectionText(
  io: Io,
  inspection: Inspection,
  isDetailed: boolean,
): Promise<string> {
  const { backup_id, generation, topic, partition, lineage, records, next_offset } = inspection;
  const head = `${topic}-${partition}, lineage ${lineage} of backup ${backup_id}, generation ${generation}\n`;
  if (records.length === 0) return `${head}There are no such records.\n`;
  const body = isDetailed ? records.map(recordText).join("\n") : await linesText(io, records);
  const more = next_offset === undefined ? "" : `more from --from-offset ${next_offset} on\n`;
  return `${head}${body}${more}`;
}

function linesText(io: Io, records: readonly InspectedRecord[]): Promise<string> {
  const free = Math.max(2 * widthMin, (io.stdout.columns ?? lineWidthDefault) - otherColumnsWidth);
  const keyWidth = Math.max(widthMin, Math.floor(free / keyShare));
  return tableText(io, {
    head: ["offset", "time", "key", "value", "bytes", "headers"],
    rows: records.map(({ offset, timestamp, key, value, headers }) => [
      String(offset),
      timeText(timestamp),
      lineOf(key, keyWidth),
      lineOf(value, free - keyWidth),
      value === null ? "-" : String(value.bytes),
      String(headers.length),
    ]),
    alignRight: [0, 4, 5],
  });
}

/** The beginning of it, on one line. */
function lineOf(shown: ShownBytes | null, width: number): string {
  const text = textOf(shown).replaceAll(/\s+/g, " ");
  const isCut = shown?.cut === true || text.length > width;
  return isCut ? `${text.slice(0, width - 1)}…` : text;
}

function textOf(shown: ShownBytes | null): string {
  if (shown === null) return "null";
  return "text" in shown ? shown.text : `0x${shown.hex}`;
}

function recordText(record: InspectedRecord): string {
  const { offset, timestamp, timestamp_type, key, value, headers, batch, segment } = record;
  const { base_offset, last_offset, codec, bytes, producer_id, leader_epoch } = batch;
  const producer = producer_id === undefined ? "" : `, producer ${producer_id}`;
  const lines = [
    `offset ${offset}`,
    `  time     ${timeText(timestamp)} (${timestamp_type})`,
    `  batch    ${base_offset} to ${last_offset}, ${codec}, ${bytesText(bytes)}, leader epoch ${leader_epoch}${producer}`,
    `  segment  ${segment}`,
    ...headers.map(({ key, value }) => `  header   ${oneLine(key)}: ${oneLine(value)}`),
    `  key      ${sizeOf(key)}${linesOf(key)}`,
    `  value    ${sizeOf(value)}${linesOf(value)}`,
  ];
  return `${lines.join("\n")}\n`;
}

function oneLine(shown: ShownBytes | null): string {
  return `${printable(textOf(shown))}${shown?.cut ? "…" : ""}`;
}

function sizeOf(shown: ShownBytes | null): string {
  if (shown === null) return "null";
  return `${bytesText(shown.bytes)}${shown.cut ? ", cut (--max-bytes)" : ""}\n`;
}

/** Line ends and tabs are kept, what steers a terminal is not. */
function linesOf(shown: ShownBytes | null): string {
  if (shown === null) return "";
  const lines = textOf(shown).split("\n");
  return lines.map((line) => `    ${line.split("\t").map(printable).join("\t")}`).join("\n");
}
