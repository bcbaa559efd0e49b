/** What all measurements of one run share: Kafka, source topics, backups to restore from. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { LocalKafka } from "#local/kafka.ts";
import { type BackupRun, runBackup } from "./command-line.ts";
import { runEngine } from "./engine-process.ts";
import { produce } from "./kafka-tools.ts";

export type SourceKind =
  | ("none" | "lz4" | "zstd")
  | ("one-record" | "one-partition" | "many-partitions");

export interface Source {
  readonly kind: SourceKind;
  readonly topic: string;
  readonly partitionCount: number;
  readonly records: number;
  /** Of the producer that wrote it. */
  readonly producer: ProducerSettings;
}

/** Names of Kafka's producer configuration. */
export type ProducerSettings = Readonly<Record<string, string>>;

export interface SettingOptions {
  readonly records: number;
  readonly runs: number;
  /** Records of the topic of one partition. */
  readonly onePartitionRecords: number;
}

/** Kafka's own defaults, written out: ProducerPerformance takes them as well. */
const batching = { acks: "all", "batch.size": "16384", "linger.ms": "5" };
const partitionCount = 4;
/** Of all records, how many there are in the topic of one-record batches: they take long to write. */
const oneRecordShare = 5;
/** Some 25 KB each, of a million records in all: what matters is how many there are. */
const manyPartitions = 2_000;
const manyPartitionsShare = 10;

export class Setting {
  readonly kafka: LocalKafka;
  /** Takes everything, and is removed at the end. */
  readonly folder: string;
  readonly payloadFile: string;
  readonly runs: number;
  readonly #options: SettingOptions;
  readonly #say: (text: string) => void;
  readonly #sources = new Map<SourceKind, Promise<Source>>();
  readonly #backups = new Map<SourceKind, Promise<BackupRun>>();

  constructor(
    place: { kafka: LocalKafka; folder: string; payloadFile: string },
    options: SettingOptions,
    say: (text: string) => void,
  ) {
    this.kafka = place.kafka;
    this.folder = place.folder;
    this.payloadFile = place.payloadFile;
    this.runs = options.runs;
    this.#options = options;
    this.#say = say;
  }

  /** Tells what happens next; throws when the user wants to stop. */
  say(text: string): void {
    this.#say(text);
  }

  newName(prefix: string): string {
    return `${prefix}-${randomBytes(4).toString("hex")}`;
  }

  newFolder(prefix: string): string {
    return join(this.folder, this.newName(prefix));
  }

  /** The topic of that kind, written when it is first asked for. */
  source(kind: SourceKind): Promise<Source> {
    return memoized(this.#sources, kind, () => this.#makeSource(kind));
  }

  /** A backup of it, made when it is first asked for. */
  backupOf(kind: SourceKind): Promise<BackupRun> {
    return memoized(this.#backups, kind, async () => {
      this.say(`${kind}: a backup to restore from`);
      return runBackup(this, await this.source(kind));
    });
  }

  async createTopic(topic: string, partitionCount: number): Promise<void> {
    const topics = [{ topic, partitionCount, replicationFactor: 1, config: {} }];
    const bootstrap_servers = [this.kafka.bootstrapServers];
    await runEngine({ task: "create-topics", bootstrap_servers, topics });
  }

  async deleteTopics(prefix: string): Promise<void> {
    const { kafka } = this;
    const { code, stderr } = await kafka.tool("org.apache.kafka.tools.TopicCommand", [
      ...["--bootstrap-server", kafka.bootstrapServers],
      ...["--delete", "--if-exists", "--topic", `${prefix}-.*`],
    ]);
    if (code !== 0) throw new Error(`TopicCommand ended with ${code}:\n${stderr}`);
  }

  async #makeSource(kind: SourceKind): Promise<Source> {
    const source = { kind, topic: `source-${kind}`, ...this.#shapeOf(kind) };
    this.say(`${kind}: writing ${source.records.toLocaleString("en-US")} records`);
    await this.createTopic(source.topic, source.partitionCount);
    await produce(this, source, source.topic);
    return source;
  }

  #shapeOf(kind: SourceKind): Pick<Source, "partitionCount" | "records" | "producer"> {
    const { records, onePartitionRecords } = this.#options;
    switch (kind) {
      case "one-record": {
        const producer = { ...batching, "batch.size": "0", "linger.ms": "0" };
        return { partitionCount, records: Math.ceil(records / oneRecordShare), producer };
      }
      case "one-partition":
        return { partitionCount: 1, records: onePartitionRecords, producer: batching };
      case "many-partitions": {
        const share = Math.ceil(records / manyPartitionsShare);
        return { partitionCount: manyPartitions, records: share, producer: batching };
      }
      default:
        return { partitionCount, records, producer: { ...batching, "compression.type": kind } };
    }
  }
}

function memoized<Key, Value>(
  made: Map<Key, Promise<Value>>,
  key: Key,
  make: () => Promise<Value>,
): Promise<Value> {
  const found = made.get(key);
  if (found !== undefined) return found;
  const value = make();
  made.set(key, value);
  return value;
}
