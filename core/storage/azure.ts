/**
 * A container of Azure Blob Storage. Needs conditional writes (`If-None-Match: *` on Put Blob and
 * Put Block List, answered with 409 BlobAlreadyExists) and read, write and list rights on the
 * container; delete where objects are removed.
 *
 * The SDK's own retries are off: `retrying.ts` repeats whole calls, and knows what a repeated
 * create means. Streams repeat their blocks here, with the same `Retry`. Each stream's blob bears a
 * mark of its own in its metadata, as in `s3.ts`: when the answer to the last call was lost, or
 * says that the blob exists, the mark tells this stream's blob from another's. Ids of blocks hold
 * the mark too: streams on one key would otherwise take each other's. Blocks that nobody commits
 * are forgotten by the service after a week; there is no call that would do it earlier.
 *
 * This is the one file that imports the SDK (0.2 s), and it is imported only when needed.
 */
import { createHash, randomBytes } from "node:crypto";
import {
  AnonymousCredential,
  type BlobGetPropertiesResponse,
  type BlockBlobClient,
  ContainerClient,
  StorageResponseFormat,
  StorageSharedKeyCredential,
} from "@azure/storage-blob";
import pLimit from "p-limit";
import { BackupError, isBackupError } from "#core/errors.ts";
import { azureCodeOf, azureStatusOf, translateAzureError } from "#core/storage/azure-errors.ts";
import type {
  CreateOutcome,
  ListedObject,
  ObjectInfo,
  ObjectWriter,
  StorageBackend,
} from "#core/storage/backend.ts";
import { checkKeyPrefix, checkRelativeKey } from "#core/storage/keys.ts";
import type { AzureLocation } from "#core/storage/location.ts";
import { createMarked } from "#core/storage/marked-create.ts";
import { PartBuffers, type PartUpload, PartWriter } from "#core/storage/part-writer.ts";
import type { Retry } from "#core/storage/retrying.ts";
import { IdleLimit, limitMsOf } from "#core/storage/time-limit.ts";

/** What a page of 5,000 blobs takes as XML. */
const pageBytesMax = 4 * 1024 * 1024;
/** Each blob is a request of its own. */
const deletesAtOnce = 16;
/** Names of metadata are C# identifiers. */
const markName = "kafkabackupstream";
const onlyIfAbsent = { conditions: { ifNoneMatch: "*" } } as const;
/** What a key that is taken is answered with. 412: by stores that speak the protocol alike. */
const takenCodes = ["BlobAlreadyExists", "ConditionNotMet"];

/** Throws InvalidRequestError where the credentials cannot be any. */
export async function openAzure(location: AzureLocation, retry: Retry): Promise<StorageBackend> {
  return new AzureStorage(await containerOf(location), location, retry);
}

async function containerOf(location: AzureLocation): Promise<ContainerClient> {
  const { account, container, endpoint, connection_string, account_key, sas_token } = location;
  const options = { retryOptions: { maxTries: 1 } };
  if (connection_string !== undefined) {
    try {
      return new ContainerClient(connection_string, container, options);
    } catch {
      // The SDK's own error could repeat what it was given.
      throw invalid("the connection string cannot be read");
    }
  }
  const service = (endpoint ?? `https://${account}.blob.core.windows.net`).replace(/\/+$/, "");
  const url = `${service}/${container}`;
  if (account_key !== undefined) {
    if (account === undefined) throw invalid("an account key needs its account's name");
    const key = new StorageSharedKeyCredential(account, account_key);
    return new ContainerClient(url, key, options);
  }
  if (sas_token !== undefined) {
    const signed = `${url}?${sas_token.replace(/^\?/, "")}`;
    return new ContainerClient(signed, new AnonymousCredential(), options);
  }
  // 0.1 s, and only for those who have no key.
  const { DefaultAzureCredential } = await import("@azure/identity");
  return new ContainerClient(url, new DefaultAzureCredential(), options);
}

function invalid(problem: string): BackupError {
  return new BackupError("InvalidRequestError", `the Azure storage cannot be used: ${problem}`);
}

class AzureStorage implements StorageBackend {
  readonly url: string;
  readonly #container: ContainerClient;
  /** Empty, or ending in `/`. */
  readonly #prefix: string;
  readonly #retry: Retry;
  readonly #buffers = new PartBuffers();

  constructor(container: ContainerClient, location: AzureLocation, retry: Retry) {
    this.#container = container;
    this.#prefix = location.prefix === "" ? "" : `${location.prefix}/`;
    this.#retry = retry;
    this.url = `azure://${location.container}/${location.prefix}`;
  }

  async createIfAbsent(key: string, body: Uint8Array): Promise<CreateOutcome> {
    const blob = this.#blob(key);
    return this.#creating("create", key, async () => {
      await blob.upload(body, body.length, {
        ...onlyIfAbsent,
        ...checksumOf(body),
        ...inTime(body),
      });
    });
  }

  async createStream(key: string): Promise<ObjectWriter> {
    return new PartWriter(key, this.#blockUpload(key), this.#buffers);
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    const blob = this.#blob(key);
    await this.#translated("write", key, () =>
      blob.upload(body, body.length, { ...checksumOf(body), ...inTime(body) }),
    );
  }

  async get(key: string): Promise<Buffer> {
    return this.#read(key, 0, undefined);
  }

  async getRange(key: string, position: number, length: number): Promise<Buffer> {
    if (length > 0) {
      try {
        return await this.#read(key, position, length);
      } catch (error) {
        if (azureStatusOf((error as Error).cause ?? error) !== 416) throw error;
        return Buffer.alloc(0); // The blob ends before `position`.
      }
    }
    if ((await this.head(key)) !== undefined) return Buffer.alloc(0);
    throw new BackupError("ObjectNotFoundError", `${this.url}: there is no object ${key}`);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const found = await this.#properties(key);
    return found && { size: found.contentLength ?? 0, lastModifiedMs: msOf(found.lastModified) };
  }

  /** The service lists from the prefix on; what lies before `after` is passed over here. */
  async *list(prefix: string, options: { after?: string } = {}): AsyncIterable<ListedObject> {
    const after = options.after === undefined ? undefined : Buffer.from(options.after);
    const start = this.#prefix + checkKeyPrefix(prefix);
    const pages = this.#pages(prefix, (settings) =>
      this.#container
        .listBlobsFlat({ prefix: start, ...inXml, ...inTimeOfPage() })
        .byPage(settings),
    );
    for await (const page of pages) {
      for (const { name, properties } of page.segment.blobItems) {
        const key = name.slice(this.#prefix.length);
        if (after !== undefined && Buffer.compare(Buffer.from(key), after) <= 0) continue;
        const { contentLength = 0, lastModified } = properties;
        yield { key, size: contentLength, lastModifiedMs: msOf(lastModified) };
      }
    }
  }

  async *listFolders(prefix: string): AsyncIterable<string> {
    const start = this.#prefix + checkKeyPrefix(prefix);
    const pages = this.#pages(prefix, (settings) =>
      this.#container
        .listBlobsByHierarchy("/", { prefix: start, ...inXml, ...inTimeOfPage() })
        .byPage(settings),
    );
    for await (const page of pages) {
      for (const { name } of page.segment.blobPrefixes ?? []) yield name.slice(start.length, -1);
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    const blobs = keys.map((key) => ({ key, blob: this.#blob(key) }));
    await pLimit(deletesAtOnce).map(blobs, ({ key, blob }) =>
      this.#translated("delete", key, () =>
        blob.deleteIfExists({ deleteSnapshots: "include", ...inTime() }),
      ),
    );
  }

  /** Idle connections end by themselves, and hold no process. */
  async close(): Promise<void> {}

  #blob(key: string): BlockBlobClient {
    return this.#container.getBlockBlobClient(this.#prefix + checkRelativeKey(key));
  }

  async #read(key: string, position: number, length: number | undefined): Promise<Buffer> {
    const blob = this.#blob(key);
    return this.#translated("read", key, async () => {
      const limit = new IdleLimit();
      try {
        const answer = await blob.download(position, length, { abortSignal: limit.signal });
        const body = Buffer.allocUnsafeSlow(answer.contentLength ?? 0);
        let filled = 0;
        for await (const chunk of answer.readableStreamBody ?? []) {
          limit.moved();
          filled += (chunk as Buffer).copy(body, filled);
        }
        if (filled === body.length) return body;
        const problem = `${filled} of ${body.length} bytes came`;
        throw new BackupError("StorageUnavailableError", `${this.url}: ${key}: ${problem}`);
      } finally {
        limit.end();
      }
    });
  }

  async #properties(key: string): Promise<BlobGetPropertiesResponse | undefined> {
    const blob = this.#blob(key);
    try {
      return await this.#translated("look at", key, () => blob.getProperties(inTime()));
    } catch (error) {
      if (isBackupError(error, "ObjectNotFoundError")) return undefined;
      throw error;
    }
  }

  /** One request a page, each with a time limit of its own. */
  async *#pages<Page extends { readonly continuationToken?: string }>(
    prefix: string,
    open: (settings: { continuationToken?: string }) => AsyncIterableIterator<Page>,
  ): AsyncIterable<Page> {
    let token = "";
    do {
      // An empty token stands for the end.
      const settings = token === "" ? {} : { continuationToken: token };
      const page = await this.#translated("list", prefix, () => open(settings).next());
      if (page.done === true) return;
      yield page.value;
      token = page.value.continuationToken ?? "";
    } while (token !== "");
  }

  /** The calls of one stream, each repeated here: nobody above has the bytes any more. */
  #blockUpload(key: string): PartUpload<string> {
    const blob = this.#blob(key);
    const mark = randomBytes(16).toString("hex");
    const marked = { ...onlyIfAbsent, metadata: { [markName]: mark } };
    return {
      createWhole: (body) =>
        this.#creatingMarked(key, mark, async () => {
          await blob.upload(body, body.length, { ...marked, ...checksumOf(body), ...inTime(body) });
        }),
      begin: async () => mark,
      sendPart: (_uploadId, partNumber, body, abortSignal) =>
        this.#retry(() =>
          this.#translated("send a block of", key, async () => {
            abortSignal.throwIfAborted();
            const id = blockId(mark, partNumber);
            const inTimeToo = AbortSignal.any([abortSignal, inTime(body).abortSignal]);
            const options = { ...checksumOf(body), abortSignal: inTimeToo };
            await blob.stageBlock(id, body, body.length, options);
            return id;
          }),
        ),
      complete: (_uploadId, ids) =>
        this.#creatingMarked(key, mark, async () => {
          await blob.commitBlockList([...ids], { ...marked, ...inTime() });
        }),
      // Taking blocks back is not in the protocol.
      discard: async () => {},
    };
  }

  #creatingMarked(key: string, mark: string, send: () => Promise<void>): Promise<CreateOutcome> {
    const find = async () => {
      const found = await this.#properties(key);
      return found && { mark: found.metadata?.[markName] };
    };
    const create = () => this.#creating("commit", key, send);
    const gone = `${this.url}: the blocks of ${key} are gone`;
    return createMarked({ mark, create, find, gone }, this.#retry);
  }

  /** InvalidBlockList: another blob was written under the key, which drops all blocks that wait. */
  async #creating(verb: string, key: string, send: () => Promise<void>): Promise<CreateOutcome> {
    return this.#translated(verb, key, async () => {
      try {
        await send();
        return "created";
      } catch (error) {
        const code = azureCodeOf(error) ?? "";
        if (takenCodes.includes(code) || code === "InvalidBlockList") return "exists";
        throw error;
      }
    });
  }

  async #translated<T>(verb: string, key: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      throw translateAzureError(error, verb, this.url, key);
    }
  }
}

/** The newer Arrow format is for listings far larger than ours, and few services speak it. */
const inXml = { responseFormat: StorageResponseFormat.Xml } as const;

/** The SDK waits for an answer for ever. */
function inTime(sent?: Uint8Array): { abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(limitMsOf(sent?.length ?? 0)) };
}

function inTimeOfPage(): { abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(limitMsOf(pageBytesMax)) };
}

/** Checked by the service; 600 MB/s. */
function checksumOf(body: Uint8Array): { transactionalContentMD5: Uint8Array } {
  return { transactionalContentMD5: createHash("md5").update(body).digest() };
}

/** Ids of a blob's blocks are all of one length. */
function blockId(mark: string, partNumber: number): string {
  return Buffer.from(`${mark}-${String(partNumber).padStart(5, "0")}`).toString("base64");
}

/** Whole seconds, which is what the protocol has. */
function msOf(time: Date | undefined): number {
  return time?.getTime() ?? 0;
}
