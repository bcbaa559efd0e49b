/**
 * The object store as the engine sees it. A backend is rooted at a folder, or at a bucket and
 * prefix; keys are relative to that root, with `/` between their parts (`storage/keys.ts`).
 *
 * All methods throw AccessDeniedError, ThrottledError or StorageUnavailableError, with the
 * store's own error name and the key in the message. Calls are repeated by
 * `storage/retrying.ts`, for all backends; a writer's pieces cannot be handed over twice, so a
 * backend that sends them over a network repeats them itself. One contract suite
 * (test/contract/storage) runs against each sibling.
 */
export interface StorageBackend {
  /** Where this backend is rooted, for messages: `file:///backups`, `s3://bucket/prefix`. */
  readonly url: string;

  /**
   * Writes a whole object unless the key exists. Atomic: of any number of simultaneous callers
   * one gets `created`, and no reader ever sees a part. Durable when it resolves.
   * After an error the object may or may not exist: repeat, and compare when it says `exists`.
   */
  createIfAbsent(key: string, body: Uint8Array): Promise<CreateOutcome>;

  /**
   * Opens a new object for writing in pieces. Nothing is visible before `commit`, which is as
   * atomic and durable as `createIfAbsent`. Memory stays bounded whatever the object's size.
   */
  createStream(key: string): Promise<ObjectWriter>;

  /** Writes a whole object, replacing what is there. Readers see the old or the new, whole. */
  put(key: string, body: Uint8Array): Promise<void>;

  /** The whole object. Throws ObjectNotFoundError. */
  get(key: string): Promise<Buffer>;

  /**
   * `length` bytes from `position`, or fewer where the object ends before. Throws
   * ObjectNotFoundError.
   */
  getRange(key: string, position: number, length: number): Promise<Buffer>;

  /** Size and time of the last write, or undefined when there is no such object. */
  head(key: string): Promise<ObjectInfo | undefined>;

  /**
   * All objects whose key starts with `prefix` (a plain string prefix; end it with `/` for a
   * folder), in ascending order of the key's UTF-8 bytes. With `after`, only keys greater than it.
   */
  list(prefix: string, options?: { after?: string }): AsyncIterable<ListedObject>;

  /** The distinct next key parts under a folder `prefix` (which ends with `/`, or is empty). */
  listFolders(prefix: string): AsyncIterable<string>;

  /** Removes the objects; those that do not exist count as removed. */
  delete(keys: readonly string[]): Promise<void>;

  close(): Promise<void>;
}

export type CreateOutcome = "created" | "exists";

export interface ObjectInfo {
  readonly size: number;
  readonly lastModifiedMs: number;
}

export interface ListedObject extends ObjectInfo {
  readonly key: string;
}

export interface ObjectWriter {
  /**
   * Takes over `chunk` (the caller must not change it afterwards). Resolves when the writer can
   * take more, which bounds what is buffered.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** Publishes the object unless the key exists by now. The writer is finished either way. */
  commit(): Promise<CreateOutcome>;
  /** Discards all that was written. Never throws; may be called after a failed write or commit. */
  abort(): Promise<void>;
}
