/**
 * A bucket of Google Cloud Storage. Needs storage.objects.get, create and list; delete where
 * objects are removed, and where `put` replaces one.
 *
 * Create if absent is `ifGenerationMatch=0`, which the service holds also at the end of an upload
 * in pieces. `retrying.ts` repeats whole calls; streams repeat their pieces here, with the same
 * `Retry`. Each stream's object bears a mark of its own in its metadata, as in `s3.ts`: when the
 * answer to the last call was lost, or says that the object exists, the mark tells this stream's
 * object from another's.
 *
 * Streams are resumable uploads: one session that takes its bytes in order. A piece that is sent
 * again is no harm, because the service passes over bytes that it has.
 */
import { randomBytes } from "node:crypto";
import pLimit from "p-limit";
import { BackupError, isBackupError } from "#core/errors.ts";
import { crc32c } from "#core/kafka/crc32c.ts";
import type {
  CreateOutcome,
  ListedObject,
  ObjectInfo,
  ObjectWriter,
  StorageBackend,
} from "#core/storage/backend.ts";
import { gcsRequests, type SendGcs } from "#core/storage/gcs-requests.ts";
import { GcsUpload } from "#core/storage/gcs-upload.ts";
import { checkKeyPrefix, checkRelativeKey } from "#core/storage/keys.ts";
import type { GcsLocation } from "#core/storage/location.ts";
import { createMarked } from "#core/storage/marked-create.ts";
import { PartBuffers, type PartUpload, PartWriter } from "#core/storage/part-writer.ts";
import type { Retry } from "#core/storage/retrying.ts";

const publicEndpoint = "https://storage.googleapis.com";
/** Each object is a request of its own. */
const deletesAtOnce = 16;
const markName = "kafka-backup-stream";
const taken = 412;

export function openGcs(location: GcsLocation, retry: Retry): StorageBackend {
  const storageUrl = `gs://${location.bucket}/${location.prefix}`;
  const endpoint = (location.endpoint ?? publicEndpoint).replace(/\/+$/, "");
  const isAnonymous = location.authentication === "none";
  const send = gcsRequests({ endpoint, isAnonymous, storageUrl });
  return new GcsStorage(send, storageUrl, location, retry);
}

/** What is read of the API's description of an object; sizes are decimal strings. */
interface ObjectResource {
  readonly name: string;
  readonly size?: string;
  readonly timeCreated?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

interface Page {
  readonly items?: readonly ObjectResource[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

class GcsStorage implements StorageBackend {
  readonly url: string;
  readonly #send: SendGcs;
  /** Of the bucket's objects. */
  readonly #path: string;
  /** Empty, or ending in `/`. */
  readonly #prefix: string;
  readonly #retry: Retry;
  readonly #buffers = new PartBuffers();

  constructor(send: SendGcs, url: string, location: GcsLocation, retry: Retry) {
    this.url = url;
    this.#send = send;
    this.#path = `/storage/v1/b/${encodeURIComponent(location.bucket)}/o`;
    this.#prefix = location.prefix === "" ? "" : `${location.prefix}/`;
    this.#retry = retry;
  }

  async createIfAbsent(key: string, body: Uint8Array): Promise<CreateOutcome> {
    return this.#upload("create", key, body, { isNew: true });
  }

  async createStream(key: string): Promise<ObjectWriter> {
    return new PartWriter(key, this.#resumableUpload(key), this.#buffers);
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#upload("write", key, body, { isNew: false });
  }

  async get(key: string): Promise<Buffer> {
    return (await this.#read(key, {})).body;
  }

  async getRange(key: string, position: number, length: number): Promise<Buffer> {
    if (length > 0) {
      const range = `bytes=${position}-${position + length - 1}`;
      const { status, body } = await this.#read(key, { range });
      return status === 416 ? Buffer.alloc(0) : body; // The object ends before `position`.
    }
    if ((await this.head(key)) !== undefined) return Buffer.alloc(0);
    throw new BackupError("ObjectNotFoundError", `${this.url}: there is no object ${key}`);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const found = await this.#resource(key);
    return found && infoOf(found);
  }

  async *list(prefix: string, options: { after?: string } = {}): AsyncIterable<ListedObject> {
    const after = options.after && this.#prefix + options.after;
    for await (const { items = [] } of this.#pages(prefix, { startOffset: after })) {
      for (const item of items) {
        // `startOffset` is itself listed; a name that ends in a slash is a console's folder.
        if (item.name === after || item.name.endsWith("/")) continue;
        yield { key: item.name.slice(this.#prefix.length), ...infoOf(item) };
      }
    }
  }

  async *listFolders(prefix: string): AsyncIterable<string> {
    const start = this.#prefix.length + prefix.length;
    for await (const { prefixes = [] } of this.#pages(prefix, { delimiter: "/" })) {
      for (const folder of prefixes) yield folder.slice(start, -1);
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    const urls = keys.map((key) => ({ key, url: this.#objectPath(key) }));
    await pLimit(deletesAtOnce).map(urls, async ({ key, url }) => {
      try {
        await this.#send("delete", key, { method: "DELETE", url });
      } catch (error) {
        if (!isBackupError(error, "ObjectNotFoundError")) throw error;
      }
    });
  }

  /** Idle connections end by themselves, and hold no process. */
  async close(): Promise<void> {}

  #objectPath(key: string): string {
    return `${this.#path}/${encodeURIComponent(this.#prefix + checkRelativeKey(key))}`;
  }

  #read(key: string, headers: Readonly<Record<string, string>>) {
    const url = this.#objectPath(key);
    const query = { alt: "media" };
    return this.#send("read", key, { method: "GET", url, query, headers, expected: [416] });
  }

  async #resource(key: string): Promise<ObjectResource | undefined> {
    const url = this.#objectPath(key);
    try {
      const { body } = await this.#send("look at", key, { method: "GET", url });
      return JSON.parse(body.toString()) as ObjectResource;
    } catch (error) {
      if (isBackupError(error, "ObjectNotFoundError")) return undefined;
      throw error;
    }
  }

  async *#pages(prefix: string, options: { startOffset?: string | undefined; delimiter?: string }) {
    const query = {
      prefix: this.#prefix + checkKeyPrefix(prefix),
      fields: "items(name,size,timeCreated),prefixes,nextPageToken",
      ...options,
    };
    let pageToken: string | undefined;
    do {
      const request = { method: "GET", url: this.#path, query: { ...query, pageToken } } as const;
      const { body } = await this.#send("list", prefix, request);
      const page = JSON.parse(body.toString()) as Page;
      yield page;
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined && pageToken !== "");
  }

  /**
   * A whole object with its description, in one multipart/related request (RFC 2387). The service
   * refuses bytes that do not give the checksum.
   */
  async #upload(
    verb: string,
    key: string,
    body: Uint8Array,
    options: { readonly isNew: boolean; readonly mark?: string },
  ): Promise<CreateOutcome> {
    const boundary = randomBytes(16).toString("hex");
    const described = { ...this.#description(key, options.mark), crc32c: base64Of(crc32c(body)) };
    const related = Buffer.concat([
      Buffer.from(`--${boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n`),
      Buffer.from(`${JSON.stringify(described)}\r\n`),
      Buffer.from(`--${boundary}\r\nContent-Type: application/octet-stream\r\n\r\n`),
      body,
      Buffer.from(`\r\n--${boundary}--\r\n`),
    ]);
    const { status } = await this.#send(verb, key, {
      method: "POST",
      url: `/upload${this.#path}`,
      query: { uploadType: "multipart", ifGenerationMatch: options.isNew ? "0" : undefined },
      headers: { "content-type": `multipart/related; boundary=${boundary}` },
      body: related,
      expected: options.isNew ? [taken] : [],
    });
    return status === taken ? "exists" : "created";
  }

  #description(key: string, mark: string | undefined) {
    const name = this.#prefix + checkRelativeKey(key);
    return { name, ...(mark !== undefined && { metadata: { [markName]: mark } }) };
  }

  /** The calls of one stream, each repeated here: nobody above has the bytes any more. */
  #resumableUpload(key: string): PartUpload<void> {
    const mark = randomBytes(16).toString("hex");
    const description = this.#description(key, mark);
    let upload: GcsUpload | undefined;
    return {
      createWhole: (body) =>
        this.#creatingMarked(key, mark, () =>
          this.#upload("commit", key, body, { isNew: true, mark }),
        ),
      begin: async () => {
        upload = await this.#retry(() =>
          GcsUpload.begin(this.#send, `/upload${this.#path}`, key, description),
        );
        return upload.sessionUrl;
      },
      sendPart: (_sessionUrl, _partNumber, body, signal) => upload!.send(body, signal, this.#retry),
      complete: () => this.#creatingMarked(key, mark, () => upload!.finish()),
      discard: async () => upload!.cancel(),
    };
  }

  #creatingMarked(
    key: string,
    mark: string,
    create: () => Promise<CreateOutcome>,
  ): Promise<CreateOutcome> {
    const find = async () => {
      const found = await this.#resource(key);
      return found && { mark: found.metadata?.[markName] };
    };
    const gone = `${this.url}: the upload of ${key} is gone`;
    return createMarked({ mark, create, find, gone }, this.#retry);
  }
}

function infoOf({ size, timeCreated }: ObjectResource): ObjectInfo {
  return { size: Number(size ?? 0), lastModifiedMs: Date.parse(timeCreated ?? "") || 0 };
}

/** As the API writes checksums: four bytes, big-endian. */
function base64Of(checksum: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(checksum);
  return bytes.toString("base64");
}
