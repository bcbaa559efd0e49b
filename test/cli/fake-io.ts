import { EventEmitter } from "node:events";
import type { Io, TextStream } from "#cli/io.ts";

export interface FakeIo extends Io {
  /** What was written so far. */
  out(): string;
  err(): string;
  signal(name: string): void;
  readonly exits: number[];
  listenerCount(): number;
}

interface FakeIoOptions {
  readonly env?: Record<string, string>;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** A process's streams and signals, kept in memory. */
export function fakeIo({ env = {}, isTTY, columns }: FakeIoOptions = {}): FakeIo {
  const written = { out: "", err: "" };
  const stream = (name: "out" | "err"): TextStream => ({
    isTTY,
    columns,
    write: (text) => {
      written[name] += text;
    },
  });
  const signals = new EventEmitter();
  const exits: number[] = [];
  return {
    stdout: stream("out"),
    stderr: stream("err"),
    env,
    onSignal(listener) {
      signals.on("signal", listener);
      return () => signals.off("signal", listener);
    },
    exitNow: (code) => exits.push(code),
    out: () => written.out,
    err: () => written.err,
    signal: (name) => signals.emit("signal", name),
    exits,
    listenerCount: () => signals.listenerCount("signal"),
  };
}
