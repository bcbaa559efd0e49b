/**
 * Streams for stores that take an object in numbered parts and publish it with a last call (S3's
 * multipart uploads). Parts are sent while the caller makes the next bytes: up to
 * `partsInFlightMax` at once, with one more being filled, whatever the object's size.
 */
import { BackupError } from "#core/errors.ts";
import type { CreateOutcome, ObjectWriter } from "#core/storage/backend.ts";

/**
 * S3 wants 5 MiB or more of every part but the last, and some stores the same size of all. At
 * 8 MiB a segment of 128 MiB takes at most 17 requests.
 */
export const partBytes = 8 * 1024 * 1024;
/** S3's limit: with parts of 8 MiB an object ends at 78 GiB, far above any segment. */
export const partCountMax = 10_000;
/** With the part being filled 24 MiB a stream: 96 MiB for the usual four at once. */
export const partsInFlightMax = 2;

/** What the store does; each call but `discard` repeats itself as far as that can help. */
export interface PartUpload<Part> {
  /** Creates a small object in one call, unless the key exists. */
  createWhole(body: Buffer): Promise<CreateOutcome>;
  /** Begins an upload and returns its id. */
  begin(): Promise<string>;
  /** `body` is not changed before this settles. Numbers start at 1. */
  sendPart(uploadId: string, partNumber: number, body: Buffer, signal: AbortSignal): Promise<Part>;
  /** Publishes the object, unless the key exists. */
  complete(uploadId: string, parts: readonly Part[]): Promise<CreateOutcome>;
  /** Makes the store forget the parts. */
  discard(uploadId: string): Promise<void>;
}

/**
 * Buffers of `partBytes`, used again by later parts and streams: fresh ones of this size stay
 * behind until the garbage collector runs, which they do not make it do.
 */
export class PartBuffers {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(partBytes);
  }

  /** Only what nobody reads any more. */
  giveBack(buffer: Buffer): void {
    if (this.#free.length <= partsInFlightMax) this.#free.push(buffer);
  }
}

export class PartWriter<Part> implements ObjectWriter {
  readonly #key: string;
  readonly #upload: PartUpload<Part>;
  readonly #buffers: PartBuffers;
  readonly #aborted = new AbortController();
  readonly #inFlight = new Set<Promise<void>>();
  readonly #parts: Part[] = [];
  #buffer: Buffer | undefined;
  #filledBytes = 0;
  #partCount = 0;
  #uploadId: string | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isFinished = false;

  constructor(key: string, upload: PartUpload<Part>, buffers: PartBuffers) {
    this.#key = key;
    this.#upload = upload;
    this.#buffers = buffers;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#checkOpen();
    for (let taken = 0; taken < chunk.length; ) {
      if (this.#filledBytes === partBytes) await this.#sendBuffer();
      this.#buffer ??= this.#buffers.take();
      const count = Math.min(chunk.length - taken, partBytes - this.#filledBytes);
      this.#buffer.set(chunk.subarray(taken, taken + count), this.#filledBytes);
      this.#filledBytes += count;
      taken += count;
    }
  }

  async commit(): Promise<CreateOutcome> {
    this.#checkOpen();
    if (this.#uploadId === undefined) return this.#commitWhole();
    await this.#sendBuffer();
    while (this.#inFlight.size > 0) await Promise.race(this.#inFlight);
    this.#checkOpen();
    this.#isFinished = true;
    const outcome = await this.#upload.complete(this.#uploadId, this.#parts);
    if (outcome === "exists") await this.#discardParts();
    this.#uploadId = undefined;
    return outcome;
  }

  async abort(): Promise<void> {
    this.#isFinished = true;
    this.#buffer = undefined;
    this.#aborted.abort();
    await Promise.allSettled(this.#inFlight);
    await this.#discardParts();
  }

  async #commitWhole(): Promise<CreateOutcome> {
    this.#isFinished = true;
    const buffer = this.#buffer;
    const body = buffer?.subarray(0, this.#filledBytes) ?? Buffer.alloc(0);
    const outcome = await this.#upload.createWhole(body);
    if (buffer !== undefined) this.#buffers.giveBack(buffer);
    this.#buffer = undefined;
    return outcome;
  }

  /** Starts sending the part that is filled, when there is room for another. */
  async #sendBuffer(): Promise<void> {
    this.#uploadId ??= await this.#upload.begin();
    const uploadId = this.#uploadId;
    while (this.#inFlight.size >= partsInFlightMax) await Promise.race(this.#inFlight);
    this.#checkOpen();
    const partNumber = ++this.#partCount;
    if (partNumber > partCountMax) {
      throw new BackupError(
        "InvalidRequestError",
        `${this.#key} is larger than ${partCountMax} parts of ${partBytes} bytes`,
      );
    }
    const buffer = this.#buffer!;
    const body = buffer.subarray(0, this.#filledBytes);
    this.#buffer = undefined;
    this.#filledBytes = 0;
    const sending = this.#sendPart(uploadId, partNumber, body).then(
      () => this.#buffers.giveBack(buffer),
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    const settled = sending.finally(() => this.#inFlight.delete(settled));
    this.#inFlight.add(settled);
  }

  async #sendPart(uploadId: string, partNumber: number, body: Buffer): Promise<void> {
    const signal = this.#aborted.signal;
    this.#parts[partNumber - 1] = await this.#upload.sendPart(uploadId, partNumber, body, signal);
  }

  /** What cannot be discarded now is for the bucket's rule on incomplete uploads. */
  async #discardParts(): Promise<void> {
    const uploadId = this.#uploadId;
    this.#uploadId = undefined;
    if (uploadId !== undefined) await this.#upload.discard(uploadId).catch(() => {});
  }

  #checkOpen(): void {
    if (this.#isFinished) {
      throw new BackupError("InvalidRequestError", `the writer of ${this.#key} is finished`);
    }
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
