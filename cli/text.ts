/** Numbers, sizes, durations and times as people read them; the same in every locale. */

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
const byteUnits = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `1,234,567` */
export function countText(count: number | bigint): string {
  return whole.format(count);
}

/** `1.5 MiB` */
export function bytesText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (Math.abs(value) >= 1023.5 && unit < byteUnits.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 1000 ? short.format(value) : whole.format(value)} ${byteUnits[unit]}`;
}

/** `104 MiB/s` */
export function rateText(bytes: number, ms: number): string {
  return ms > 0 ? `${bytesText((bytes / ms) * 1000)}/s` : "-";
}

/** `3.2 s`, `4 min 05 s`, `2 h 03 min`, `5 d 01 h` */
export function durationText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 59.5) return `${seconds < 10 ? seconds.toFixed(1) : whole.format(seconds)} s`;
  const rounded = Math.round(seconds);
  const pair = (unit: number, part: number, names: [string, string]) => {
    const rest = Math.floor((rounded % unit) / part);
    return `${Math.floor(rounded / unit)} ${names[0]} ${String(rest).padStart(2, "0")} ${names[1]}`;
  };
  if (rounded < 3600) return pair(60, 1, ["min", "s"]);
  if (rounded < 86_400) return pair(3600, 60, ["h", "min"]);
  return pair(86_400, 3600, ["d", "h"]);
}

/** The largest time that a Date holds. */
const dateMsMax = 8_640_000_000_000_000n;

/** `2025-01-15T10:30:00.000Z`; the bare number where it is no time of the calendar; `-` for none. */
export function timeText(ms: bigint | number | undefined): string {
  if (ms === undefined || ms === -1n || ms === -1) return "-";
  const time = BigInt(ms);
  return time >= 0n && time <= dateMsMax ? new Date(Number(time)).toISOString() : String(time);
}

/** How many times smaller: `4.4x`. */
export function ratioText(original: number, stored: number): string {
  return stored > 0 ? `${short.format(original / stored)}x` : "-";
}

/** `1 topic`, `2 topics` */
export function numbered(count: number, noun: string): string {
  return `${countText(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** A sentence that begins with a space; empty where brokers did not throttle (KIP-219). */
export function throttledText(throttledMs: number | undefined): string {
  if (throttledMs === undefined || throttledMs === 0) return "";
  return ` Brokers held it back for ${durationText(throttledMs)} by a quota of the cluster.`;
}
