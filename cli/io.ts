/** What the command line touches of its process. Tests hand in their own. */

export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

export interface Io {
  /** Data, and nothing else. */
  readonly stdout: TextStream;
  /** Talk: log lines, progress, errors. */
  readonly stderr: TextStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls `listener` for each SIGINT, SIGTERM and SIGHUP until the returned function is called. */
  onSignal(listener: (name: string) => void): () => void;
  /** Ends the process here and now. */
  exitNow(code: number): void;
}

const signalNames = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export function processIo(): Io {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", ignoreBrokenPipe);
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    onSignal(listener) {
      for (const name of signalNames) process.on(name, listener);
      return () => {
        for (const name of signalNames) process.off(name, listener);
      };
    },
    exitNow: (code) => process.exit(code),
  };
}

/** Somebody who reads no further (`| head`) must not end a backup. */
function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}
