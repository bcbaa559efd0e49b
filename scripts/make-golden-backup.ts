/**
 * Makes the golden backup of a format version: real topics of a real broker, backed up, restored
 * and interrupted by the engine, and beside it every record as Kafka's own consumer saw it. Made
 * once for each format version that is released, never again: it refuses a folder that has one.
 *
 *     node scripts/make-golden-backup.ts test/fixtures/v1/backup
 */
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { BackupRequest } from "#core/backup/contract.ts";
import { runBackup } from "#core/backup/run.ts";
import { openCatalog } from "#core/catalog/open.ts";
import { isBackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { connectCluster } from "#core/kafka/connect.ts";
import { abandonRestore } from "#core/restore/abandon.ts";
import type { RestoreRequest } from "#core/restore/request.ts";
import { restoresOf } from "#core/restore/restore-record.ts";
import { runRestore } from "#core/restore/run.ts";
import { type Deadline, deadlineAt, type OnProgress, silentLogger } from "#core/runtime.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { randomId, systemClock } from "#core/system.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { expectedRecord } from "#test/support/golden-backup.ts";

const backupId = "golden";
const topics = [
  "append-time",
  "codecs",
  "compacted",
  "frames",
  "odd",
  "recreated",
  "transactions",
  "trimmed",
];
/** Small backups in the other codecs. */
const others = {
  "golden-lz4": "lz4",
  "golden-gz": "gzip",
  "golden-sz": "snappy",
  "golden-log": "none",
} as const;
const noDeadline = deadlineAt(systemClock, Number.POSITIVE_INFINITY);

/** Lines of the oracle by `topic/topic id/partition`, then by offset. */
type Seen = Map<string, Map<string, string>>;

class GoldenBackup {
  readonly #folder: string;
  readonly #kafka: LocalKafka;
  readonly #cluster: Cluster;
  readonly #deps;

  constructor(folder: string, kafka: LocalKafka, cluster: Cluster) {
    const storage = openFilesystem(folder);
    const catalog = openCatalog({ storage, clock: systemClock, newId: randomId });
    const base = { clock: systemClock, logger: silentLogger, newId: randomId };
    this.#folder = folder;
    this.#kafka = kafka;
    this.#cluster = cluster;
    this.#deps = { storage, catalog, cluster, ...base };
  }

  async make(): Promise<void> {
    await this.#traffic("first");
    await this.#compact();
    const seen: Seen = new Map();
    await this.#backupSeen(seen, () => this.#backup(backupId, topics, "zstd"));
    await this.#traffic("second");
    await this.#backupSeen(seen, () => this.#backup(backupId, topics, "zstd", 1500));
    for (const [id, codec] of Object.entries(others)) {
      await this.#backupSeen(seen, () => this.#backup(id, ["codecs", "odd"], codec));
    }
    await this.#restore(topics, "restored");
    await this.#abandonedRestore();
    await this.#traffic("third");
    await this.#interruptedBackup();
    const open: Seen = new Map();
    await this.#see(["codecs"], open);
    for (const [life, records] of open) {
      for (const offset of seen.get(life)!.keys()) records.delete(offset);
    }
    const expected = `{\n"records":[\n${expectedOf(seen)}],\n"open_run":[\n${expectedOf(open)}]\n}\n`;
    await writeFile(join(this.#folder, "expected.json"), expected);
  }

  /** Until the log stays as it is, and has lost what it must. */
  async #compact(): Promise<void> {
    await this.#traffic("compact");
    let before = "";
    for (let i = 0; i < 60; i++) {
      await sleep(2000);
      const seen: Seen = new Map();
      await this.#see(["compacted"], seen);
      const now = JSON.stringify([...seen].map(([, records]) => [...records]));
      const count = [...seen.values()].reduce((sum, records) => sum + records.size, 0);
      if (now === before && count < 30) return;
      before = now;
    }
    throw new Error("compaction did not come to rest");
  }

  async #backupSeen(seen: Seen, backup: () => Promise<unknown>): Promise<void> {
    const before: Seen = new Map();
    await this.#see(topics, before);
    await backup();
    const after: Seen = new Map();
    await this.#see(topics, after);
    const textOf = (records: Seen) => JSON.stringify([...records].map(([at, r]) => [at, ...r]));
    if (textOf(before) !== textOf(after)) throw new Error("topics changed under the backup");
    for (const [at, records] of after) {
      // What an earlier run saw stays: its records may be gone from the topic by now.
      seen.set(at, new Map([...records, ...(seen.get(at) ?? [])]));
    }
  }

  #backup(
    id: string,
    include: readonly string[],
    compression: BackupRequest["segments"]["compression"],
    segmentBytesMax = 128 * 1024 * 1024,
    deadline = noDeadline,
    onProgress: OnProgress = () => {},
  ) {
    const request: BackupRequest = {
      backup_id: id,
      topics: { include: [...include], exclude: [] },
      segments: {
        compression,
        recompress: "never",
        segment_max_bytes: segmentBytesMax,
        checkpoint_interval_ms: 5000,
      },
      max_concurrent_partitions: 1,
    };
    return runBackup({ ...this.#deps, onProgress }, request, deadline);
  }

  /** Stopped after its first checkpoint, as by Ctrl-C. */
  async #interruptedBackup(): Promise<void> {
    const { deadline, onProgress } = untilCheckpoint();
    await cancelled(this.#backup(backupId, ["codecs"], "zstd", 1, deadline, onProgress));
  }

  async #abandonedRestore(): Promise<void> {
    const { deadline, onProgress } = untilCheckpoint();
    const window = { start: 1_700_000_002_000n, end: 1_700_000_015_000n };
    await cancelled(this.#restore(["codecs"], "abandoned", window, deadline, onProgress));
    const restore_id = (await restoresOf(this.#deps.storage, backupId)).at(-1)!.restoreId;
    await abandonRestore(this.#deps, { backup_id: backupId, restore_id }, noDeadline);
  }

  #restore(
    include: readonly string[],
    prefix: string,
    window: RestoreRequest["window"] = {},
    deadline: Deadline = noDeadline,
    onProgress: OnProgress = () => {},
  ) {
    const request: RestoreRequest = {
      backup_id: backupId,
      window,
      topics: { include: [...include], exclude: [] },
      topic_mapping: Object.fromEntries(include.map((name) => [name, `${prefix}-${name}`])),
      partition_mapping: {},
      create_topics: true,
      allow_non_empty: false,
    };
    const options = {
      start_new: false,
      max_concurrent_partitions: 1,
      checkpoint_interval_ms: 1,
      bootstrap_servers: ["broker:9092"],
    };
    return runRestore({ ...this.#deps, onProgress }, request, options, deadline);
  }

  #traffic(step: string): Promise<string> {
    return this.#java(join(this.#folder, "MakeTopics.java"), [step]);
  }

  async #see(names: readonly string[], seen: Seen): Promise<void> {
    const described = await this.#cluster.describeTopics(names);
    const ids = new Map(described.map(({ name, topicId }) => [name, topicId]));
    for (const { name, topicId, partitions } of described) {
      for (const { partition } of partitions)
        seen.set(`${name}/${topicId}/${partition}`, new Map());
    }
    const lines = await this.#java("local/java/PrintRecords.java", ["lines", ...names]);
    for (const line of lines.split("\n").filter((line) => line !== "")) {
      const [topic, partition, offset] = line.split("\t");
      seen.get(`${topic}/${ids.get(topic!)}/${partition}`)!.set(offset!, line);
    }
  }

  async #java(file: string, args: readonly string[]): Promise<string> {
    const all = [this.#kafka.bootstrapServers, ...args];
    const { code, stdout, stderr } = await this.#kafka.runJava(file, all);
    if (code !== 0) throw new Error(`${file} ended with ${code}:\n${stderr}`);
    return stdout;
  }
}

/** A deadline that passes with the first checkpoint. */
function untilCheckpoint(): { deadline: Deadline; onProgress: OnProgress } {
  let isPassed = false;
  const onProgress: OnProgress = ({ kind }) => {
    if (kind === "checkpoint") isPassed = true;
  };
  return { deadline: { ...noDeadline, passed: () => isPassed }, onProgress };
}

async function cancelled(work: Promise<unknown>): Promise<void> {
  const error = await work.catch((error: unknown) => error);
  if (!isBackupError(error, "CancelledError")) throw error;
}

/** An object for each life of a partition, a line for each record. */
function expectedOf(seen: Seen): string {
  return [...seen]
    .map(([at, records]) => [at.split("/"), records] as const)
    .map(([[topic, topic_id, partition], records]) => {
      const head = JSON.stringify({ topic, topic_id, partition: Number(partition) });
      const sorted = [...records].sort(([a], [b]) => Number(a) - Number(b));
      const lines = sorted.map(([, line]) => JSON.stringify(expectedRecord(line)));
      return `${head.slice(0, -1)},"records":[\n${lines.join(",\n")}]}`;
    })
    .join(",\n");
}

const [, , folder] = process.argv;
if (folder === undefined) throw new Error("usage: make-golden-backup.ts FOLDER");
const isMade = await access(join(folder, "expected.json")).then(
  () => true,
  () => false,
);
if (isMade) throw new Error(`${folder} holds a golden backup, which is never made again`);
// Timestamps of the past stay although the topics' retention would delete them.
const settings = {
  "log.retention.check.interval.ms": "86400000",
  "log.initial.task.delay.ms": "0",
};
const kafka = await startKafka({ settings });
try {
  const cluster = await connectCluster(
    { bootstrap_servers: [kafka.bootstrapServers] },
    { clock: systemClock, logger: silentLogger },
  );
  await new GoldenBackup(folder, kafka, cluster).make();
  await cluster.disconnect();
} finally {
  await kafka.stop();
}
