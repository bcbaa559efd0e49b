/** Progress of a run: a line that is drawn over on a terminal, plain lines now and then elsewhere. */
import type { Terminal } from "#cli/terminal.ts";
import { bytesText, countText, durationText, rateText } from "#cli/text.ts";
import type { Clock, OnProgress, ProgressEvent } from "#core/runtime.ts";

const redrawMs = 200;
const plainLineMs = 10_000;
/** Rate and time left are those of the last this many milliseconds. */
const rateWindowMs = 10_000;

export interface ProgressDisplay {
  readonly onProgress: OnProgress;
  /** Removes the line. Call it before the result is written. */
  stop(): void;
}

interface Sample {
  readonly atMs: number;
  readonly records: number;
  readonly bytes: number;
}

interface Phase {
  readonly partitions: number;
  readonly records: number;
  readonly samples: Sample[];
  movedRecords: number;
  movedBytes: number;
  finished: number;
}

/** Shows the events of one run under the name of what it does ("backup"). */
export function showProgress(terminal: Terminal, clock: Clock, step: string): ProgressDisplay {
  let phase: Phase | undefined;
  const draw = () => {
    if (phase === undefined) return;
    const text = `${step}: ${progressText(phase, clock.monotonicMs())}`;
    if (terminal.isTty) terminal.status(text);
    else terminal.line(text);
  };
  const timer = setInterval(draw, terminal.isTty ? redrawMs : plainLineMs);
  timer.unref();
  return {
    onProgress(event) {
      phase = afterEvent(phase, event, clock.monotonicMs());
    },
    stop() {
      clearInterval(timer);
      if (terminal.isTty && phase !== undefined) terminal.status("");
      phase = undefined;
    },
  };
}

/** A plan begins anew: a restore plans what it restores and then what it verifies. */
function afterEvent(
  phase: Phase | undefined,
  event: ProgressEvent,
  atMs: number,
): Phase | undefined {
  if (event.kind === "planned") {
    const { partitions, records } = event;
    const samples = [{ atMs, records: 0, bytes: 0 }];
    return { partitions, records, samples, movedRecords: 0, movedBytes: 0, finished: 0 };
  }
  if (phase === undefined) return undefined;
  if (event.kind === "finished") phase.finished++;
  if (event.kind === "advanced") {
    phase.movedRecords += event.records;
    phase.movedBytes += event.bytes;
  }
  return phase;
}

function progressText(phase: Phase, nowMs: number): string {
  const { samples, movedRecords, movedBytes } = phase;
  samples.push({ atMs: nowMs, records: movedRecords, bytes: movedBytes });
  while (samples.length > 2 && nowMs - samples[0]!.atMs > rateWindowMs) samples.shift();
  const oldest = samples[0]!;
  const elapsedMs = nowMs - oldest.atMs;
  const records = movedRecords - oldest.records;
  const left = Math.max(0, phase.records - movedRecords);
  const done = phase.records === 0 ? 1 : Math.min(1, movedRecords / phase.records);
  return [
    `${Math.floor(done * 100)}%`,
    `${phase.finished}/${phase.partitions} partitions`,
    `${countText(movedRecords)} records`,
    bytesText(movedBytes),
    rateText(movedBytes - oldest.bytes, elapsedMs),
    records > 0 ? `${durationText((left * elapsedMs) / records)} left` : "waiting",
  ].join(", ");
}
