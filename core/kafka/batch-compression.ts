/**
 * Record batches' bodies, compressed and not (F7). Everything is synchronous: a body is a
 * megabyte or so, and below that a trip to the thread pool costs more than it wins.
 */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { BackupError } from "#core/errors.ts";
import { corruptBatch } from "#core/kafka/batch-check.ts";
import type { TopicPartition } from "#core/kafka/cluster.ts";
import { compressLz4Frame, decompressLz4Frame } from "#core/kafka/lz4-frame.ts";
import {
  type BatchCodec,
  batchHeaderBytes,
  codecMask,
  codecOf,
  type RecordBatchHeader,
} from "#core/kafka/record-batch.ts";
import { compressXerialSnappy, decompressSnappy } from "#core/kafka/xerial-snappy.ts";
import { zstdFrames } from "#core/kafka/zstd-frames.ts";

/**
 * The largest decompressed body that is accepted where the caller knows no better (S4). A Java
 * producer bounds the records of a request before compression by max.request.size, 1 MiB unless
 * set, 100 MiB in the largest settings one meets; twice that and more still fits a process of
 * 512 MiB.
 */
export const batchBodyBytesMax = 256 * 1024 * 1024;

/** What Java's producer uses (compression.zstd.level). */
const zstdLevel = 3;

/** zlib gives its output in buffers of this size; the result is copied when there are several. */
const chunkBytesMin = 1024;
const chunkBytesMax = 1024 * 1024;

/**
 * The records of the batch at `position` of `buffer`, decompressed; a view of `buffer` where they
 * are not compressed. Throws UnsupportedCodecError, and CorruptRecordBatchError where they cannot
 * be decompressed or would exceed `bytesMax`.
 */
export function bodyOf(
  header: RecordBatchHeader,
  buffer: Buffer,
  position: number,
  at: TopicPartition,
  bytesMax: number,
): Buffer {
  const codec = codecOf(header);
  if (codec === undefined) throw unsupportedCodec(header, at);
  const body = buffer.subarray(position + batchHeaderBytes, position + header.sizeInBytes);
  if (codec === "none") return body;
  return decompressBody(codec, body, { ...at, offset: header.baseOffset }, bytesMax);
}

/** The same of a body that lies by itself; `at` is for errors. */
export function decompressBody(
  codec: Exclude<BatchCodec, "none">,
  body: Buffer,
  at: TopicPartition & { readonly offset: bigint },
  bytesMax: number,
): Buffer {
  try {
    return decompress[codec](body, bytesMax);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const problem = `its ${codec} body ${reasonOf(error, bytesMax)}`;
    throw corruptBatch(at, at.offset, problem, { cause: error });
  }
}

function unsupportedCodec(header: RecordBatchHeader, at: TopicPartition): BackupError {
  const place = `record batch of ${at.topic}-${at.partition} at offset ${header.baseOffset}`;
  const number = header.attributes & codecMask;
  return new BackupError("UnsupportedCodecError", `${place}: compression codec ${number}`, {
    details: { topic: at.topic, partition: at.partition, offset: header.baseOffset },
  });
}

/** RangeErrors without a code are our own and say it all. */
function reasonOf(error: Error & { code?: string }, bytesMax: number): string {
  if (error.code === "ERR_BUFFER_TOO_LARGE") return `decompresses to more than ${bytesMax} bytes`;
  if (error instanceof RangeError && error.code === undefined) return error.message;
  return `cannot be decompressed: ${error.code ?? error.name}: ${error.message}`;
}

const decompress = {
  gzip: decompressGzip,
  snappy: decompressSnappy,
  lz4: decompressLz4Frame,
  zstd: decompressZstd,
} as const satisfies Record<string, (body: Buffer, bytesMax: number) => Buffer>;

/** Members of a gzip file end in the size of their content (RFC 1952), here a mere hint. */
function decompressGzip(body: Buffer, bytesMax: number): Buffer {
  const hint = body.length < 4 ? 0 : body.readUInt32LE(body.length - 4);
  return gunzipSync(body, { maxOutputLength: bytesMax, chunkSize: chunkBytes(hint) });
}

function decompressZstd(body: Buffer, bytesMax: number): Buffer {
  const contents: Buffer[] = [];
  let left = bytesMax;
  for (const { bytes, contentBytes } of zstdFrames(body)) {
    if ((contentBytes ?? 0) > left) {
      throw new RangeError(`would decompress to more than ${bytesMax} bytes`);
    }
    if (contentBytes === 0) continue;
    const content = zstdDecompressSync(bytes, {
      maxOutputLength: Math.max(left, 1),
      chunkSize: chunkBytes(contentBytes ?? bytes.length * 4),
    });
    contents.push(content);
    left -= content.length;
  }
  return contents.length === 1 ? contents[0]! : Buffer.concat(contents);
}

/** One byte more than the content: else a second buffer is allocated to find the end. */
function chunkBytes(contentBytes: number): number {
  return Math.min(Math.max(contentBytes + 1, chunkBytesMin), chunkBytesMax);
}

/** As Java's client would compress it, and readable by every client since record batches. */
export function compressBody(codec: BatchCodec, body: Buffer): Buffer {
  switch (codec) {
    case "none":
      return body;
    case "gzip":
      return gzipSync(body, { chunkSize: chunkBytes(body.length / 2) });
    case "snappy":
      return compressXerialSnappy(body);
    case "lz4":
      return compressLz4Frame(body);
    case "zstd":
      return zstdCompressSync(body, {
        chunkSize: chunkBytes(body.length / 2),
        params: { [constants.ZSTD_c_compressionLevel]: zstdLevel },
      });
  }
}
