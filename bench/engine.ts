/**
 * What only the engine can be asked for: short checkpoint intervals, their durations, batches that
 * are sent as they are. `node engine.ts TASK`, both TASK and the answer in JSON.
 */
import { runBackup } from "#core/backup/run.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { Cluster, NewTopic } from "#core/kafka/cluster.ts";
import { connectCluster } from "#core/kafka/connect.ts";
import { beginRestore } from "#core/restore/begin.ts";
import { partitionRequests, restoreWhole, runPartitions } from "#core/restore/partition-runs.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { prepareTopic } from "#core/restore/topics.ts";
import { deadlineAt, type ProgressEvent, silentLogger } from "#core/runtime.ts";
import { openStorage } from "#core/storage/open.ts";
import { randomId, systemClock } from "#core/system.ts";

interface OnStorage {
  readonly bootstrap_servers: readonly string[];
  readonly path: string;
  readonly backup_id: string;
  readonly topic: string;
  readonly checkpoint_interval_ms: number;
}

export type EngineTask =
  | {
      readonly task: "create-topics";
      readonly bootstrap_servers: readonly string[];
      readonly topics: readonly NewTopic[];
    }
  | ({ readonly task: "backup" } & OnStorage)
  /** Without verification. */
  | ({
      readonly task: "restore";
      readonly target: string;
      readonly coalesce_below_bytes?: number;
    } & OnStorage);

export interface EngineAnswer {
  readonly duration_ms: number;
  /** Of each checkpoint, in the order in which they became durable. */
  readonly checkpoints_ms: readonly number[];
}

const clock = systemClock;
const deadline = deadlineAt(clock, Number.POSITIVE_INFINITY);
const concurrentPartitions = 4;

async function open(cluster: Cluster, { path }: OnStorage) {
  const deps = { clock, logger: silentLogger };
  const location = { backend: "filesystem", path } as const;
  const storage = await openStorage(location, { ...deps, signal: deadline.signal });
  const catalog = openCatalog({ storage, clock, newId: randomId });
  const checkpoints_ms: number[] = [];
  const onProgress = (event: ProgressEvent) => {
    if (event.kind === "checkpoint") checkpoints_ms.push(event.durationMs);
  };
  return {
    deps: { ...deps, storage, catalog, cluster, newId: randomId, onProgress },
    checkpoints_ms,
  };
}

async function backup(cluster: Cluster, task: OnStorage): Promise<EngineAnswer> {
  const { deps, checkpoints_ms } = await open(cluster, task);
  const { duration_ms } = await runBackup(
    deps,
    {
      backup_id: task.backup_id,
      topics: { include: [task.topic], exclude: [] },
      segments: {
        compression: "zstd",
        recompress: "never",
        segment_max_bytes: 128 * 1024 * 1024,
        checkpoint_interval_ms: task.checkpoint_interval_ms,
      },
      max_concurrent_partitions: concurrentPartitions,
    },
    deadline,
  );
  return { duration_ms, checkpoints_ms };
}

async function restore(
  cluster: Cluster,
  task: Extract<EngineTask, { task: "restore" }>,
): Promise<EngineAnswer> {
  const { deps, checkpoints_ms } = await open(cluster, task);
  const startedAtMs = clock.monotonicMs();
  const request = {
    backup_id: task.backup_id,
    window: {},
    topics: { include: [task.topic], exclude: [] },
    topic_mapping: { [task.topic]: task.target },
    partition_mapping: {},
    create_topics: true,
    allow_non_empty: false,
  };
  const begun = await beginRestore(deps, request, true);
  if (begun.status !== "begun") throw new Error(`the restore was ${begun.status}`);
  const { intent } = begun;
  const plan = intent.topics[0]!;
  const record = new RestoreRecord(deps.storage, intent.backup_id, intent.restore_id);
  const target = await prepareTopic(deps, record, plan);
  const requests = partitionRequests(intent, plan, target, task.checkpoint_interval_ms).map(
    (each) =>
      task.coalesce_below_bytes === undefined
        ? each
        : { ...each, coalesce_below_bytes: task.coalesce_below_bytes },
  );
  const { failed } = await runPartitions(
    deps,
    requests,
    concurrentPartitions,
    deadline,
    (request) => restoreWhole(deps, request, deadline),
  );
  if (failed[0] !== undefined) throw failed[0].cause;
  return { duration_ms: clock.monotonicMs() - startedAtMs, checkpoints_ms };
}

async function perform(cluster: Cluster, task: EngineTask): Promise<EngineAnswer> {
  switch (task.task) {
    case "create-topics":
      await cluster.createTopics([...task.topics]);
      return { duration_ms: 0, checkpoints_ms: [] };
    case "backup":
      return backup(cluster, task);
    case "restore":
      return restore(cluster, task);
  }
}

async function main(task: EngineTask): Promise<void> {
  const { bootstrap_servers } = task;
  const deps = { clock, logger: silentLogger };
  const cluster = await connectCluster({ bootstrap_servers: [...bootstrap_servers] }, deps);
  try {
    process.stdout.write(JSON.stringify(await perform(cluster, task)));
  } finally {
    await cluster.disconnect();
  }
}

await main(JSON.parse(process.argv[2] ?? ""));
