/** What is measured. Ours and theirs take turns, so that a change of the machine's mood hits both. */
import { rm } from "node:fs/promises";
import { type BackupRun, type RestoreRun, runBackup, runRestore } from "./command-line.ts";
import { runEngine } from "./engine-process.ts";
import { consume, produce, type ToolRun } from "./kafka-tools.ts";
import type { Cost } from "./measured.ts";
import {
  atLeast,
  atMost,
  medianOf,
  percentile99,
  type Row,
  ratioAtMost,
  row,
  type Section,
  type Target,
} from "./rows.ts";
import type { Setting, SourceKind } from "./setting.ts";

export interface Case {
  readonly name: string;
  readonly measure: (setting: Setting) => Promise<Omit<Section, "name">>;
}

const second = 1000;
const megabyte = 1_000_000;
const memoryTarget = atMost(300);
const partitionRateTarget = atLeast(100);

const withConsumer = ["kafka-backup", "ConsumerPerformance"] as const;
const withProducer = ["kafka-backup", "ProducerPerformance"] as const;

interface Turns<Ours, Theirs> {
  readonly ours: Ours[];
  readonly theirs: Theirs[];
}

/** Each side is first in every other round. */
async function takeTurns<Ours, Theirs>(
  setting: Setting,
  what: string,
  ours: () => Promise<Ours>,
  theirs: () => Promise<Theirs>,
): Promise<Turns<Ours, Theirs>> {
  const turns: Turns<Ours, Theirs> = { ours: [], theirs: [] };
  const sides = [
    async () => turns.ours.push(await ours()),
    async () => turns.theirs.push(await theirs()),
  ];
  for (let round = 0; round < setting.runs; round++) {
    setting.say(`${what}: round ${round + 1} of ${setting.runs}`);
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) await side();
  }
  return turns;
}

/** CPU time by the median, memory by the worst. */
function costRows({ ours, theirs }: Turns<Cost, Cost>): Row[] {
  const cpuSeconds = (runs: readonly Cost[]) => medianOf(runs, ({ cpuMs }) => cpuMs / second);
  return [
    row("CPU time", "s", cpuSeconds(ours), { theirs: cpuSeconds(theirs) }),
    row("peak memory", "MB", peakMb(ours), { theirs: peakMb(theirs), target: memoryTarget }),
  ];
}

function peakMb(runs: readonly Cost[]): number {
  return Math.max(...runs.map(({ peakBytes }) => peakBytes / megabyte));
}

function rateOf(run: { batchBytes: number; durationMs: number }): number {
  return run.batchBytes / megabyte / (run.durationMs / second);
}

async function backupTurns(setting: Setting, kind: SourceKind) {
  const source = await setting.source(kind);
  const ours = async () => {
    const run = await runBackup(setting, source);
    await rm(run.path, { recursive: true });
    return run;
  };
  return takeTurns(setting, `backup, ${kind}`, ours, () => consume(setting, source));
}

function backupRows(turns: Turns<BackupRun, ToolRun>, target?: Target): Row[] {
  const { ours, theirs } = turns;
  const whole = (runs: readonly Cost[]) => medianOf(runs, ({ wallMs }) => wallMs / second);
  const { batchBytes, storedBytes } = ours[0]!;
  return [
    row("whole process", "s", whole(ours), { theirs: whole(theirs), target }),
    row(
      "first request to last write",
      "s",
      medianOf(ours, (run) => run.durationMs / second),
      {
        theirs: medianOf(theirs, ({ toolMs }) => toolMs / second),
        target,
      },
    ),
    ...costRows(turns),
    row("rate of batch bytes", "MB/s", medianOf(ours, rateOf)),
    row("record batches", "MB", batchBytes / megabyte),
    row("stored", "MB", storedBytes / megabyte),
  ];
}

function backupCase(codec: "none" | "lz4" | "zstd", timesOfConsumer: number): Case {
  return {
    name: `backup-${codec}`,
    async measure(setting) {
      const turns = await backupTurns(setting, codec);
      const rows = backupRows(turns, ratioAtMost(timesOfConsumer));
      const { batchBytes, storedBytes } = turns.ours[0]!;
      if (codec === "none") {
        rows.push(row("compression ratio", "x", batchBytes / storedBytes, { target: atLeast(3) }));
      }
      return { title: `Backup of ${codec} batches`, columns: withConsumer, rows };
    },
  };
}

async function restoreTurns(setting: Setting, kind: SourceKind) {
  const source = await setting.source(kind);
  const backup = await setting.backupOf(kind);
  const prefix = setting.newName(`target-${kind}`);
  const turns = await takeTurns(
    setting,
    `restore, ${kind}`,
    () => runRestore(setting, source, backup, setting.newName(prefix)),
    async () => {
      const topic = setting.newName(prefix);
      await setting.createTopic(topic, source.partitionCount);
      return produce(setting, source, topic);
    },
  );
  await setting.deleteTopics(prefix);
  return turns;
}

function restoreRows(turns: Turns<RestoreRun, ToolRun>, target?: Target): Row[] {
  const { ours, theirs } = turns;
  const theirWhole = medianOf(theirs, ({ wallMs }) => wallMs / second);
  return [
    row(
      "whole process, verification apart",
      "s",
      medianOf(ours, ({ wallMs, verifyMs }) => (wallMs - verifyMs) / second),
      { theirs: theirWhole, target },
    ),
    row(
      "first request to last write",
      "s",
      medianOf(ours, (run) => run.durationMs / second),
      {
        theirs: medianOf(theirs, ({ toolMs }) => toolMs / second),
        target,
      },
    ),
    row(
      "verification",
      "s",
      medianOf(ours, ({ verifyMs }) => verifyMs / second),
    ),
    row(
      "whole process with verification",
      "s",
      medianOf(ours, ({ wallMs }) => wallMs / second),
      {
        theirs: theirWhole,
      },
    ),
    ...costRows(turns),
    row("rate of batch bytes", "MB/s", medianOf(ours, rateOf)),
  ];
}

function restoreCase(codec: "none" | "lz4" | "zstd"): Case {
  return {
    name: `restore-${codec}`,
    async measure(setting) {
      const rows = restoreRows(await restoreTurns(setting, codec), ratioAtMost(0.6));
      return { title: `Restore of ${codec} batches`, columns: withProducer, rows };
    },
  };
}

const onePartition: readonly Case[] = [
  {
    name: "one-partition-backup",
    async measure(setting) {
      const turns = await backupTurns(setting, "one-partition");
      const rows = judgedByRate(backupRows(turns));
      return { title: "Backup of one partition", columns: withConsumer, rows };
    },
  },
  {
    name: "one-partition-restore",
    async measure(setting) {
      const rows = judgedByRate(restoreRows(await restoreTurns(setting, "one-partition")));
      return { title: "Restore of one partition", columns: withProducer, rows };
    },
  },
];

const manyPartitions: readonly Case[] = [
  {
    name: "many-partitions-backup",
    async measure(setting) {
      const rows = backupRows(await backupTurns(setting, "many-partitions"));
      return { title: "Backup of 2,000 small partitions", columns: withConsumer, rows };
    },
  },
  {
    name: "many-partitions-restore",
    async measure(setting) {
      const rows = restoreRows(await restoreTurns(setting, "many-partitions"));
      return { title: "Restore of 2,000 small partitions", columns: withProducer, rows };
    },
  },
];

function judgedByRate(rows: readonly Row[]): Row[] {
  return rows.map((each) =>
    each.unit === "MB/s"
      ? row(each.what, each.unit, each.ours, { target: partitionRateTarget })
      : each,
  );
}

const oneRecordBatches: Case = {
  name: "one-record-restore",
  async measure(setting) {
    const { topic } = await setting.source("one-record");
    const { path, backupId } = await setting.backupOf("one-record");
    const prefix = setting.newName("target-one-record");
    const restore = (coalesce?: { coalesce_below_bytes: number }) =>
      runEngine({
        task: "restore",
        bootstrap_servers: [setting.kafka.bootstrapServers],
        ...{ path, topic, backup_id: backupId, target: setting.newName(prefix) },
        checkpoint_interval_ms: 5000,
        ...coalesce,
      });
    const turns = await takeTurns(
      setting,
      "restore, one-record",
      () => restore(),
      () => restore({ coalesce_below_bytes: 0 }),
    );
    await setting.deleteTopics(prefix);
    const seconds = (runs: readonly { duration_ms: number }[]) =>
      medianOf(runs, ({ duration_ms }) => duration_ms / second);
    return {
      title: "Restore of one-record batches",
      columns: ["coalesced", "each as it is"],
      rows: [
        row("first request to last write", "s", seconds(turns.ours), {
          theirs: seconds(turns.theirs),
          target: ratioAtMost(1 / 5),
        }),
        ...costRows(turns),
      ],
    };
  },
};

/** Segment sizes that must make no difference. */
const segmentSizes = ["16MiB", "128MiB"] as const;

const memory: Case = {
  name: "memory",
  async measure(setting) {
    const source = await setting.source("none");
    const prefix = setting.newName("target-memory");
    const measureWith = async (segment_max_bytes: string) => {
      const backup = await runBackup(setting, source, { segment_max_bytes });
      const restore = await runRestore(setting, source, backup, setting.newName(prefix));
      await rm(backup.path, { recursive: true });
      return { backup, restore };
    };
    const { ours, theirs } = await takeTurns(
      setting,
      "memory",
      () => measureWith(segmentSizes[1]),
      () => measureWith(segmentSizes[0]),
    );
    await setting.deleteTopics(prefix);
    const rows = (["backup", "restore"] as const).map((side) =>
      row(`${side}, peak`, "MB", peakMb(ours.map((run) => run[side])), {
        theirs: peakMb(theirs.map((run) => run[side])),
        target: memoryTarget,
      }),
    );
    return {
      title: "Memory by the size of segments",
      columns: [segmentSizes[1], segmentSizes[0]],
      rows,
    };
  },
};

/**
 * Short, so that there are enough checkpoints for a percentile, and no shorter: four partitions
 * that did nothing else would measure how they queue for the disk.
 */
const checkpointIntervalMs = 200;

const checkpoints: Case = {
  name: "checkpoints",
  async measure(setting) {
    const { topic } = await setting.source("none");
    const prefix = setting.newName("target-checkpoints");
    const backups: number[] = [];
    const restores: number[] = [];
    for (let round = 0; round < setting.runs; round++) {
      setting.say(`checkpoints: round ${round + 1} of ${setting.runs}`);
      const path = setting.newFolder("storage");
      const on = {
        bootstrap_servers: [setting.kafka.bootstrapServers],
        ...{ path, topic, backup_id: "bench", checkpoint_interval_ms: checkpointIntervalMs },
      };
      backups.push(...(await runEngine({ task: "backup", ...on })).checkpoints_ms);
      const target = setting.newName(prefix);
      restores.push(...(await runEngine({ task: "restore", target, ...on })).checkpoints_ms);
      await rm(path, { recursive: true });
    }
    await setting.deleteTopics(prefix);
    const p99 = (side: string, durations: readonly number[]) =>
      row(`${side}, 99th percentile of ${durations.length}`, "ms", percentile99(durations), {
        target: atMost(100),
      });
    return {
      title: `Checkpoints, every ${checkpointIntervalMs} ms in 4 partitions`,
      columns: ["kafka-backup", ""],
      rows: [p99("backup", backups), p99("restore", restores)],
    };
  },
};

export const cases: readonly Case[] = [
  backupCase("none", 1.2),
  backupCase("lz4", 0.6),
  backupCase("zstd", 0.6),
  restoreCase("none"),
  restoreCase("lz4"),
  restoreCase("zstd"),
  oneRecordBatches,
  ...onePartition,
  ...manyPartitions,
  memory,
  checkpoints,
];
