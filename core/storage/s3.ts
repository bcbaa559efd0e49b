/**
 * A bucket of S3, or of what speaks its protocol. Needs conditional writes (If-None-Match on
 * PutObject and CompleteMultipartUpload), strong consistency, and s3:ListBucket, s3:GetObject,
 * s3:PutObject, s3:AbortMultipartUpload; s3:DeleteObject where objects are removed.
 *
 * The SDK's own retries are off: `retrying.ts` repeats whole calls, and knows what a repeated
 * create means. Streams repeat their parts here, with the same `Retry`. Each stream's object bears
 * a mark of its own in its metadata: when the answer to the last call was lost, or says that the
 * key exists, the mark tells this stream's object from another's.
 *
 * This is the one file that imports the SDK (0.2 s), and it is imported only when needed.
 */
import { randomBytes } from "node:crypto";
import {
  type _Error,
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { BackupError, isBackupError } from "#core/errors.ts";
import { awsClientConfig, keptConnections } from "#core/storage/aws-connection.ts";
import type {
  CreateOutcome,
  ListedObject,
  ObjectInfo,
  ObjectWriter,
  StorageBackend,
} from "#core/storage/backend.ts";
import { checkKeyPrefix, checkRelativeKey } from "#core/storage/keys.ts";
import type { S3Location } from "#core/storage/location.ts";
import { createMarked } from "#core/storage/marked-create.ts";
import { PartBuffers, type PartUpload, PartWriter } from "#core/storage/part-writer.ts";
import type { Retry } from "#core/storage/retrying.ts";
import { codeOf, statusOf, translateS3Error } from "#core/storage/s3-errors.ts";

const connectionTimeoutMs = 5_000;
/** Nothing sent or received for so long. */
const idleTimeoutMs = 30_000;
/** A part of 8 MiB over 1 Mbit/s takes 67 s. */
const requestTimeoutMs = 300_000;
/** Four partitions with two parts each in flight, and their checkpoints, with room to spare. */
const connectionsMax = 64;
/** S3's limit on DeleteObjects. */
const deletedKeysMax = 1_000;
const markName = "kafka-backup-stream";

export function openS3(location: S3Location, retry: Retry): StorageBackend {
  return new S3Storage(new S3Client(clientConfig(location)), location, retry);
}

function clientConfig(location: S3Location): S3ClientConfig {
  const agent = keptConnections(idleTimeoutMs, connectionsMax);
  return {
    ...awsClientConfig(location),
    maxAttempts: 1,
    forcePathStyle: location.path_style ?? location.endpoint !== undefined,
    requestHandler: {
      connectionTimeout: connectionTimeoutMs,
      socketTimeout: idleTimeoutMs,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
      httpAgent: agent,
      httpsAgent: agent,
    },
  };
}

/**
 * What PutObject and CreateMultipartUpload say of encryption at rest; nothing: the bucket's own
 * default. With a bucket key S3 asks KMS once for many objects and not for each.
 */
function encryptionOf({ encryption, kms_key_id }: S3Location) {
  if (encryption === undefined) return {};
  if (encryption === "sse-s3") return { ServerSideEncryption: "AES256" } as const;
  return {
    ServerSideEncryption: "aws:kms",
    BucketKeyEnabled: true,
    ...(kms_key_id !== undefined && { SSEKMSKeyId: kms_key_id }),
  } as const;
}

class S3Storage implements StorageBackend {
  readonly url: string;
  readonly #client: S3Client;
  readonly #bucket: string;
  /** Empty, or ending in `/`. */
  readonly #prefix: string;
  readonly #encryption: ReturnType<typeof encryptionOf>;
  readonly #retry: Retry;
  readonly #buffers = new PartBuffers();

  constructor(client: S3Client, location: S3Location, retry: Retry) {
    this.#client = client;
    this.#bucket = location.bucket;
    this.#prefix = location.prefix === "" ? "" : `${location.prefix}/`;
    this.#encryption = encryptionOf(location);
    this.#retry = retry;
    this.url = `s3://${location.bucket}/${location.prefix}`;
  }

  async createIfAbsent(key: string, body: Uint8Array): Promise<CreateOutcome> {
    const target = this.#newObject(key);
    return this.#creating("create", key, async () => {
      await this.#client.send(new PutObjectCommand({ ...target, Body: body, IfNoneMatch: "*" }));
    });
  }

  async createStream(key: string): Promise<ObjectWriter> {
    checkRelativeKey(key);
    return new PartWriter(key, this.#partUpload(key), this.#buffers);
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    const command = new PutObjectCommand({ ...this.#newObject(key), Body: body });
    await this.#translated("write", key, () => this.#client.send(command));
  }

  async get(key: string): Promise<Buffer> {
    return this.#read(key, undefined);
  }

  async getRange(key: string, position: number, length: number): Promise<Buffer> {
    if (length > 0) {
      try {
        return await this.#read(key, `bytes=${position}-${position + length - 1}`);
      } catch (error) {
        if (statusOf((error as Error).cause ?? error) !== 416) throw error;
        return Buffer.alloc(0); // The object ends before `position`.
      }
    }
    if ((await this.head(key)) !== undefined) return Buffer.alloc(0);
    throw new BackupError("ObjectNotFoundError", `${this.url}: there is no object ${key}`);
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const found = await this.#headObject(key);
    return found && { size: found.ContentLength ?? 0, lastModifiedMs: msOf(found.LastModified) };
  }

  async *list(prefix: string, options: { after?: string } = {}): AsyncIterable<ListedObject> {
    const after = options.after ? { StartAfter: this.#prefix + options.after } : {};
    for await (const page of this.#pages(prefix, after)) {
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        if (Key === undefined || Key.endsWith("/")) continue; // A console's mark of a folder.
        const key = Key.slice(this.#prefix.length);
        yield { key, size: Size ?? 0, lastModifiedMs: msOf(LastModified) };
      }
    }
  }

  async *listFolders(prefix: string): AsyncIterable<string> {
    for await (const page of this.#pages(prefix, { Delimiter: "/" })) {
      for (const { Prefix } of page.CommonPrefixes ?? []) {
        if (Prefix !== undefined) yield Prefix.slice(this.#prefix.length + prefix.length, -1);
      }
    }
  }

  async delete(keys: readonly string[]): Promise<void> {
    const objects = keys.map((key) => ({ Key: this.#target(key).Key }));
    for (let first = 0; first < objects.length; first += deletedKeysMax) {
      const command = new DeleteObjectsCommand({
        Bucket: this.#bucket,
        Delete: { Quiet: true, Objects: objects.slice(first, first + deletedKeysMax) },
      });
      const answer = await this.#translated("delete", keys[first]!, () =>
        this.#client.send(command),
      );
      const failed = answer.Errors?.[0];
      if (failed !== undefined) {
        const key = (failed.Key ?? "").slice(this.#prefix.length);
        throw translateS3Error(asException(failed), "delete", this.url, key);
      }
    }
  }

  async close(): Promise<void> {
    this.#client.destroy();
  }

  #target(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + checkRelativeKey(key) };
  }

  #newObject(key: string) {
    return { ...this.#target(key), ...this.#encryption };
  }

  async #read(key: string, range: string | undefined): Promise<Buffer> {
    const target = this.#target(key);
    const command = new GetObjectCommand(
      range === undefined ? target : { ...target, Range: range },
    );
    return this.#translated("read", key, async () => {
      const { Body } = await this.#client.send(command);
      const bytes = await Body!.transformToByteArray();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    });
  }

  async #headObject(key: string): Promise<HeadObjectCommandOutput | undefined> {
    const command = new HeadObjectCommand(this.#target(key));
    try {
      return await this.#translated("look at", key, () => this.#client.send(command));
    } catch (error) {
      if (isBackupError(error, "ObjectNotFoundError")) return undefined;
      throw error;
    }
  }

  async *#pages(prefix: string, options: { StartAfter?: string; Delimiter?: string }) {
    const Prefix = this.#prefix + checkKeyPrefix(prefix);
    let token: string | undefined;
    do {
      const command = new ListObjectsV2Command({
        Bucket: this.#bucket,
        Prefix,
        ...options,
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      const page = await this.#translated("list", prefix, () => this.#client.send(command));
      yield page;
      token = page.NextContinuationToken;
    } while (token !== undefined);
  }

  /** The calls of one stream, each repeated here: nobody above has the bytes any more. */
  #partUpload(key: string): PartUpload<CompletedPart> {
    const target = this.#target(key);
    const mark = randomBytes(16).toString("hex");
    const marked = { ...this.#newObject(key), Metadata: { [markName]: mark } };
    const retried = <T>(verb: string, step: () => Promise<T>) =>
      this.#retry(() => this.#translated(verb, key, step));
    return {
      createWhole: (body) =>
        this.#creatingMarked(key, mark, async () => {
          await this.#client.send(
            new PutObjectCommand({ ...marked, Body: body, IfNoneMatch: "*" }),
          );
        }),
      begin: async () => {
        const command = new CreateMultipartUploadCommand({ ...marked, ChecksumAlgorithm: "CRC32" });
        const { UploadId } = await retried("begin", () => this.#client.send(command));
        return UploadId!;
      },
      sendPart: (UploadId, PartNumber, Body, abortSignal) =>
        retried("send a part of", async () => {
          abortSignal.throwIfAborted();
          const part = {
            ...target,
            UploadId,
            PartNumber,
            Body,
            ChecksumAlgorithm: "CRC32",
          } as const;
          const sent = await this.#client.send(new UploadPartCommand(part), { abortSignal });
          const crc = sent.ChecksumCRC32;
          return {
            PartNumber,
            ETag: sent.ETag,
            ...(crc === undefined ? {} : { ChecksumCRC32: crc }),
          };
        }),
      complete: (UploadId, Parts) =>
        this.#creatingMarked(key, mark, async () => {
          const MultipartUpload = { Parts: [...Parts] };
          const upload = { ...target, UploadId, MultipartUpload, IfNoneMatch: "*" };
          await this.#client.send(new CompleteMultipartUploadCommand(upload));
        }),
      discard: async (UploadId) => {
        await this.#client.send(new AbortMultipartUploadCommand({ ...target, UploadId }));
      },
    };
  }

  #creatingMarked(key: string, mark: string, send: () => Promise<void>): Promise<CreateOutcome> {
    const find = async () => {
      const found = await this.#headObject(key);
      return found && { mark: found.Metadata?.[markName] };
    };
    const create = () => this.#creating("commit", key, send);
    const gone = `${this.url}: the upload of ${key} is gone`;
    return createMarked({ mark, create, find, gone }, this.#retry);
  }

  /** 412: the key exists. NoSuchUpload: this upload ended before, as its caller finds out. */
  async #creating(verb: string, key: string, send: () => Promise<void>): Promise<CreateOutcome> {
    return this.#translated(verb, key, async () => {
      try {
        await send();
        return "created";
      } catch (error) {
        if (statusOf(error) === 412 || codeOf(error) === "NoSuchUpload") return "exists";
        throw error;
      }
    });
  }

  async #translated<T>(verb: string, key: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      throw translateS3Error(error, verb, this.url, key);
    }
  }
}

/** Whole seconds: all that HeadObject says. */
function msOf(time: Date | undefined): number {
  return Math.floor((time?.getTime() ?? 0) / 1000) * 1000;
}

/** An entry of DeleteObjects' answer as the exception that a call of its own would have thrown. */
function asException(failed: _Error): Error {
  const passing = failed.Code === "InternalError" || failed.Code === "ServiceUnavailable";
  const httpStatusCode = passing ? 503 : 403;
  const error = new Error(failed.Message ?? "");
  return Object.assign(error, { name: failed.Code ?? "Unknown", $metadata: { httpStatusCode } });
}
