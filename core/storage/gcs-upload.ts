/**
 * One resumable upload (https://cloud.google.com/storage/docs/resumable-uploads): a session that
 * takes an object's bytes in order, in pieces of whole multiples of 256 KiB but for the last, and
 * publishes the object with the last one. A piece that came already is passed over by the service,
 * so one whose answer was lost is simply sent again.
 */
import { BackupError, isBackupError } from "#core/errors.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import type { CreateOutcome } from "#core/storage/backend.ts";
import type { GcsAnswer, SendGcs } from "#core/storage/gcs-requests.ts";
import type { Retry } from "#core/storage/retrying.ts";

const pieceUnitBytes = 256 * 1024;
const goesOn = 308;
const taken = 412;

export class GcsUpload {
  readonly sessionUrl: string;
  readonly #send: SendGcs;
  readonly #key: string;
  /** The pieces before it are with the service, or one of them failed for good. */
  #last: Promise<void> = Promise.resolve();
  #sentBytes = 0;
  #crc = 0;
  /** What is not a whole multiple, which only the last piece may be: at most 256 KiB. */
  #rest: Buffer<ArrayBuffer> = Buffer.alloc(0);

  private constructor(send: SendGcs, key: string, sessionUrl: string) {
    this.#send = send;
    this.#key = key;
    this.sessionUrl = sessionUrl;
  }

  /** `path` of the bucket's uploads; `description` becomes the object's. */
  static async begin(
    send: SendGcs,
    path: string,
    key: string,
    description: object,
  ): Promise<GcsUpload> {
    const { headers } = await send("begin", key, {
      method: "POST",
      url: path,
      query: { uploadType: "resumable", ifGenerationMatch: "0" },
      headers: { "content-type": "application/json; charset=UTF-8" },
      body: JSON.stringify(description),
      expected: [taken],
    });
    // A key that is taken is told at the end, like one that is taken meanwhile.
    return new GcsUpload(send, key, headers.get("location") ?? "");
  }

  /** Sends `body` behind what came before, when that is there. May be called without waiting. */
  send(body: Buffer, signal: AbortSignal, retry: Retry): Promise<void> {
    const sending = this.#last.then(() => this.#sendNext(body, signal, retry));
    // Whoever waits for a piece learns of those before it.
    this.#last = sending;
    this.#last.catch(() => {});
    return sending;
  }

  /**
   * Sends what is left and publishes the object. May be repeated: a session that has ended answers
   * with the object that it made, or is not known any more, which the caller finds out about.
   */
  async finish(): Promise<CreateOutcome> {
    if (this.sessionUrl === "") return "exists";
    const first = this.#sentBytes;
    const end = first + this.#rest.length;
    const range = end === first ? "*" : `${first}-${end - 1}`;
    let answer: GcsAnswer;
    try {
      answer = await this.#put("commit", this.#rest, `bytes ${range}/${end}`, [taken, goesOn]);
    } catch (error) {
      if (isBackupError(error, "ObjectNotFoundError") || isGone(error)) return "exists";
      throw error;
    }
    if (answer.status === taken) return "exists";
    if (answer.status === goesOn) throw this.#incomplete(answer);
    this.#compareChecksum(answer);
    return "created";
  }

  async cancel(): Promise<void> {
    if (this.sessionUrl === "") return;
    // 499: it is cancelled.
    const request = { method: "DELETE", url: this.sessionUrl, expected: [499] } as const;
    await this.#send("discard", this.#key, request);
  }

  async #sendNext(body: Buffer, signal: AbortSignal, retry: Retry): Promise<void> {
    if (this.sessionUrl === "") return;
    const whole = body.length - (body.length % pieceUnitBytes);
    // Only the last piece is not whole, so there is no rest of one before it.
    const piece = body.subarray(0, whole) as Buffer<ArrayBuffer>;
    this.#rest = Buffer.from(body.subarray(whole));
    this.#crc = crc32c(body, this.#crc);
    if (whole === 0) return;
    const range = `bytes ${this.#sentBytes}-${this.#sentBytes + whole - 1}/*`;
    await retry(async () => {
      signal.throwIfAborted();
      const answer = await this.#put("send a piece of", piece, range, [goesOn], signal);
      // The service may keep less than it was sent, and says so.
      if (persistedBytes(answer) < this.#sentBytes + whole) throw this.#incomplete(answer);
    });
    this.#sentBytes += whole;
  }

  #put(
    verb: string,
    body: Buffer<ArrayBuffer>,
    contentRange: string,
    expected: readonly number[],
    signal?: AbortSignal,
  ): Promise<GcsAnswer> {
    return this.#send(verb, this.#key, {
      method: "PUT",
      url: this.sessionUrl,
      headers: { "content-range": contentRange },
      body,
      expected,
      ...(signal !== undefined && { signal }),
    });
  }

  #incomplete(answer: GcsAnswer): BackupError {
    const problem = `the service has only ${persistedBytes(answer)} bytes of it`;
    return new BackupError("StorageUnavailableError", `the upload of ${this.#key}: ${problem}`);
  }

  /** The object is there by then; no manifest will name what was not written well. */
  #compareChecksum({ body }: GcsAnswer): void {
    const stored = (JSON.parse(body.toString()) as { crc32c?: string }).crc32c;
    if (stored === undefined || Buffer.from(stored, "base64").readUInt32BE() === this.#crc) return;
    throw new BackupError(
      "InvalidRequestError",
      `${this.#key}: the service stored other bytes than were sent: their CRC-32C differs`,
      { hint: "Run the command again; the object is an orphan for `prune`." },
    );
  }
}

/** `Range: bytes=0-N`; without it nothing came. */
function persistedBytes({ headers }: GcsAnswer): number {
  const last = /^bytes=0-(\d+)$/.exec(headers.get("range") ?? "")?.[1];
  return last === undefined ? 0 : Number(last) + 1;
}

/** What a session answers with that was cancelled, or ended long ago. */
function isGone(error: unknown): boolean {
  return isBackupError(error) && (error.details.status === 410 || error.details.status === 499);
}
