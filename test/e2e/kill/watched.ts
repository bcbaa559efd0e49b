/** Storage and cluster that tell what is done through them, so that a process can end itself there. */
import { Socket } from "node:net";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ObjectWriter, StorageBackend } from "#core/storage/backend.ts";

/**
 * Gets `before create KEY`, `after alterTopicSettings TOPIC` and so on, in the order in which they
 * happen. What only reads the storage is not told: it changes nothing.
 */
export type OnEvent = (event: string) => void;

export function watchedStorage(storage: StorageBackend, on: OnEvent): StorageBackend {
  return {
    url: storage.url,
    createIfAbsent: (key, body) =>
      told(on, `create ${key}`, () => storage.createIfAbsent(key, body)),
    createStream: async (key) => watchedWriter(await storage.createStream(key), key, on),
    put: (key, body) => told(on, `put ${key}`, () => storage.put(key, body)),
    delete: (keys) => told(on, `delete ${keys.join(" ")}`, () => storage.delete(keys)),
    get: (key) => storage.get(key),
    getRange: (key, position, length) => storage.getRange(key, position, length),
    head: (key) => storage.head(key),
    list: (prefix, options) => storage.list(prefix, options),
    listFolders: (prefix) => storage.listFolders(prefix),
    close: () => storage.close(),
  };
}

function watchedWriter(writer: ObjectWriter, key: string, on: OnEvent): ObjectWriter {
  return {
    write: (chunk) => told(on, `write ${key}`, () => writer.write(chunk)),
    commit: () => told(on, `commit ${key}`, () => writer.commit()),
    abort: () => writer.abort(),
  };
}

/** Tells `sent produce (N in flight)` besides, once a request's last byte was handed to the kernel. */
export function watchedCluster(cluster: Cluster, on: OnEvent): Cluster {
  let inFlight = 0;
  onProduceSent(() => on(`sent produce (${++inFlight} in flight)`));
  return {
    ...cluster,
    createTopics: (topics) =>
      told(on, `createTopics ${topics.map(({ topic }) => topic).join(" ")}`, () =>
        cluster.createTopics(topics),
      ),
    alterTopicSettings: (topic, changes) =>
      told(on, `alterTopicSettings ${topic}`, () => cluster.alterTopicSettings(topic, changes)),
    commitOffsets: (group, offsets) =>
      told(on, `commitOffsets ${group}`, () => cluster.commitOffsets(group, offsets)),
    initProducerId: () => told(on, "initProducerId", () => cluster.initProducerId()),
    fetch: (request) => {
      const at = `${request.topic}-${request.partition}`;
      return told(on, `fetch ${at}`, () => cluster.fetch(request));
    },
    async produce(request) {
      const answer = await cluster.produce(request).finally(() => inFlight--);
      on(`answered produce ${request.topic}-${request.partition}`);
      return answer;
    },
  };
}

async function told<T>(on: OnEvent, what: string, step: () => Promise<T>): Promise<T> {
  on(`before ${what}`);
  const result = await step();
  on(`after ${what}`);
  return result;
}

const produceApiKey = 0;

/**
 * A request leaves between `cork` and `uncork`, and Node writes to an idle socket at once. Its
 * first buffer begins with its size (INT32) and its API key (INT16).
 */
function onProduceSent(tell: () => void): void {
  const { cork, write, uncork } = Socket.prototype;
  const first = new WeakMap<Socket, Uint8Array>();
  Socket.prototype.cork = function (this: Socket) {
    first.delete(this);
    return cork.call(this);
  };
  Socket.prototype.write = function (this: Socket, ...args: Parameters<Socket["write"]>) {
    const [chunk] = args;
    if (this.writableCorked > 0 && chunk instanceof Uint8Array && !first.has(this)) {
      first.set(this, chunk);
    }
    return write.apply(this, args);
  } as Socket["write"];
  Socket.prototype.uncork = function (this: Socket) {
    const request = first.get(this);
    first.delete(this);
    uncork.call(this);
    if (request === undefined || request.length < 6) return;
    if (Buffer.from(request.buffer, request.byteOffset, 6).readInt16BE(4) === produceApiKey) tell();
  };
}
