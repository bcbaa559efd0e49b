import type { Transform } from "node:stream";
import { joinSmall, type Pieces } from "#core/segment/pieces.ts";

/** Output buffers this large leave zlib's thread once or twice a frame; 16 KiB cost a quarter. */
export const outputChunkBytes = 1024 * 1024;

/**
 * Each write is a hop to the threadpool and back. From here on hops cost less than copying the
 * pieces into one buffer would (measured: 1 MiB pieces 1.8 times as fast as a copy, 16 KiB slower).
 */
const pieceBytesMin = 256 * 1024;

/** What a zlib stream makes of `pieces`, compressed in the threadpool. */
export function runThrough(stream: Transform, pieces: Pieces): Promise<Pieces> {
  return new Promise((resolve, reject) => {
    const output: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => output.push(chunk));
    stream.once("error", reject);
    stream.once("end", () => resolve(output));
    for (const piece of joinSmall(pieces, pieceBytesMin)) stream.write(piece);
    stream.end();
  });
}

/**
 * Options for a one-shot decompression that ends as soon as it exceeds `rawBytes`. The chunk is a
 * little larger than the content, or zlib would allocate a second one to find out that it is done.
 */
export function boundedTo(rawBytes: number): { chunkSize: number; maxOutputLength: number } {
  return { chunkSize: rawBytes + 64, maxOutputLength: Math.max(rawBytes, 1) };
}
