/**
 * How long a request may take where `fetch` or an SDK would wait without end. A gateway that has
 * forgotten a connection closes nothing, and a lease that waits for it is lost after 30 s: so a
 * request has 30 s in which nothing happens, and the time that its own bytes take.
 */

export const idleMs = 30_000;
/** 1 Mbit/s: a part of 8 MiB takes 67 s. */
const bytesPerMsMin = 125;

/** For a request that moves so many bytes. */
export function limitMsOf(bytes: number): number {
  return idleMs + Math.ceil(bytes / bytesPerMsMin);
}

/** For a request whose answer may be of any size: what comes in has 30 s anew with each piece. */
export class IdleLimit {
  readonly #controller = new AbortController();
  #timer: NodeJS.Timeout;

  constructor(sentBytes = 0) {
    this.#timer = this.#expiring(limitMsOf(sentBytes));
  }

  /** Aborts with a TimeoutError. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something came. */
  moved(): void {
    this.end();
    this.#timer = this.#expiring(idleMs);
  }

  /** To be called when all has come, or has failed. */
  end(): void {
    clearTimeout(this.#timer);
  }

  #expiring(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#controller.abort(new DOMException(`nothing came for ${ms} ms`, "TimeoutError"));
    }, ms);
  }
}
