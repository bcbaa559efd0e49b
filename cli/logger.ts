/** The engine's voice on stderr: one line each, `time level message key=value …`. */
import type { Style, Terminal } from "#cli/terminal.ts";
import type { Clock, LogFields, Logger } from "#core/runtime.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

const levelStyles: Readonly<Record<LogLevel, Style>> = {
  debug: "dim",
  info: "cyan",
  warn: "yellow",
  error: "red",
};

/** Writes what is at least as grave as `lowest`. */
export function terminalLogger(terminal: Terminal, clock: Clock, lowest: LogLevel): Logger {
  const write =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (logLevels.indexOf(level) < logLevels.indexOf(lowest)) return;
      const time = terminal.style("dim", new Date(clock.nowMs()).toISOString());
      const name = terminal.style(levelStyles[level], level.padEnd(5));
      const told = new Set(message.split(/[\s,:;()"]+/));
      const untold = Object.entries(fields).filter(([, value]) => !isTold(told, value));
      terminal.line([time, name, message, ...untold.map(fieldText)].join(" "));
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
}

/** Fields are for logs that machines read: a person need not see a message's own words again. */
function isTold(words: ReadonlySet<string>, value: unknown): boolean {
  return typeof value === "string" && words.has(value);
}

function fieldText([key, value]: [string, unknown]): string {
  return `${key}=${valueText(value)}`;
}

function valueText(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(`${value.name}: ${value.message}`);
  if (typeof value === "bigint") return String(value);
  if (typeof value === "string" && /^[\w.:/@+-]+$/.test(value)) return value;
  const digits = (_key: string, inner: unknown) =>
    typeof inner === "bigint" ? String(inner) : inner;
  return JSON.stringify(value, digits) ?? String(value);
}
