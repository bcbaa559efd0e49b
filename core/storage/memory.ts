/** Objects in this process's memory, for tests and for trying out. */
import { BackupError } from "#core/errors.ts";
import type {
  CreateOutcome,
  ListedObject,
  ObjectInfo,
  ObjectWriter,
  StorageBackend,
} from "#core/storage/backend.ts";
import { checkKeyPrefix, checkRelativeKey, compareKeys } from "#core/storage/keys.ts";

interface StoredObject {
  readonly body: Buffer;
  readonly lastModifiedMs: number;
}

type Objects = Map<string, StoredObject>;

const named = new Map<string, Objects>();

/**
 * With a name, all backends of that name in this process see the same objects; without one, the
 * objects are this backend's alone. `nowMs` tells the time of a write.
 */
export function openMemory(name?: string, nowMs: () => number = Date.now): StorageBackend {
  const objects: Objects = (name === undefined ? undefined : named.get(name)) ?? new Map();
  if (name !== undefined) named.set(name, objects);
  return new MemoryStorage(`memory:${name ?? ""}`, objects, nowMs);
}

class MemoryStorage implements StorageBackend {
  readonly url: string;
  readonly #objects: Objects;
  readonly #nowMs: () => number;

  constructor(url: string, objects: Objects, nowMs: () => number) {
    this.url = url;
    this.#objects = objects;
    this.#nowMs = nowMs;
  }

  async createIfAbsent(key: string, body: Uint8Array): Promise<CreateOutcome> {
    checkRelativeKey(key);
    return this.#create(key, Buffer.from(body));
  }

  async createStream(key: string): Promise<ObjectWriter> {
    checkRelativeKey(key);
    return new MemoryWriter(key, (body) => this.#create(key, body));
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    this.#store(checkRelativeKey(key), Buffer.from(body));
  }

  async get(key: string): Promise<Buffer> {
    return Buffer.from(this.#find(key).body);
  }

  async getRange(key: string, position: number, length: number): Promise<Buffer> {
    return Buffer.from(this.#find(key).body.subarray(position, position + length));
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const object = this.#objects.get(checkRelativeKey(key));
    return object && infoOf(object);
  }

  async *list(prefix: string, options: { after?: string } = {}): AsyncIterable<ListedObject> {
    for (const key of this.#keys(prefix)) {
      if (options.after !== undefined && compareKeys(key, options.after) <= 0) continue;
      const object = this.#objects.get(key); // Gone when deleted while the caller was busy.
      if (object !== undefined) yield { key, ...infoOf(object) };
    }
  }

  async *listFolders(prefix: string): AsyncIterable<string> {
    const folders = new Set<string>();
    for (const key of this.#keys(prefix)) {
      const end = key.indexOf("/", prefix.length);
      if (end !== -1) folders.add(key.slice(prefix.length, end));
    }
    yield* folders;
  }

  async delete(keys: readonly string[]): Promise<void> {
    for (const key of keys.map(checkRelativeKey)) this.#objects.delete(key);
  }

  async close(): Promise<void> {}

  #create(key: string, body: Buffer): CreateOutcome {
    if (this.#objects.has(key)) return "exists";
    this.#store(key, body);
    return "created";
  }

  #store(key: string, body: Buffer): void {
    this.#objects.set(key, { body, lastModifiedMs: this.#nowMs() });
  }

  #find(key: string): StoredObject {
    const object = this.#objects.get(checkRelativeKey(key));
    if (object !== undefined) return object;
    throw new BackupError("ObjectNotFoundError", `${this.url}: there is no object ${key}`);
  }

  #keys(prefix: string): string[] {
    checkKeyPrefix(prefix);
    return [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort(compareKeys);
  }
}

function infoOf({ body, lastModifiedMs }: StoredObject): ObjectInfo {
  return { size: body.length, lastModifiedMs };
}

class MemoryWriter implements ObjectWriter {
  readonly #key: string;
  readonly #create: (body: Buffer) => CreateOutcome;
  #chunks: Uint8Array[] = [];
  #isFinished = false;

  constructor(key: string, create: (body: Buffer) => CreateOutcome) {
    this.#key = key;
    this.#create = create;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#checkOpen();
    this.#chunks.push(chunk);
  }

  async commit(): Promise<CreateOutcome> {
    this.#checkOpen();
    const body = Buffer.concat(this.#chunks);
    await this.abort();
    return this.#create(body);
  }

  async abort(): Promise<void> {
    this.#isFinished = true;
    this.#chunks = [];
  }

  #checkOpen(): void {
    if (!this.#isFinished) return;
    throw new BackupError("InvalidRequestError", `the writer of ${this.#key} is finished`);
  }
}
