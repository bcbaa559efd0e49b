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
      terminal.line([time, name, message, ...Object.entries(fields).map(fieldText)].join(" "));
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
  };
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
