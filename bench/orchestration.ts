/**
 * `npm run bench:orchestration`: what a state machine costs over the plain command line. The same
 * records in 1, 60 and 1,000 partitions are backed up into the same bucket of the AWS emulator,
 * by the command line in one process and by the deployed machine, in turns.
 *
 *   npm run bench:orchestration -- --partitions 1,60 --runs 5 --json out.json
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  ListMapRunsCommand,
  SFNClient,
  StartExecutionCommand,
} from "@aws-sdk/client-sfn";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { connectCluster } from "#core/kafka/connect.ts";
import { silentLogger } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { deployAwsStage, environmentFor } from "#local/aws-stage.ts";
import { startKafka } from "#local/kafka.ts";
import { type Ministack, startMinistack } from "#local/ministack.ts";
import { medianOf, type Row, row, type Section } from "./rows.ts";
import { sectionText } from "./table.ts";

const program = fileURLToPath(new URL("../bin/kafka-backup", import.meta.url));
const bucket = "bench";
/** However many partitions share them. */
const totalRecords = 60_000;
const valueBytes = 500;
const batchRecords = 1_000;
const pollMs = 50;
const noTopic = "no-topic-unless-the-input-says-so";

interface Place {
  readonly aws: Ministack;
  readonly bootstrapServers: string;
  readonly cluster: Cluster;
  readonly stateMachineArn: string;
  readonly client: SFNClient;
  readonly folder: string;
}

interface MachineRun {
  readonly wallMs: number;
  /** Children of the Map, each of one or more turns. */
  readonly children: number;
}

const { values } = parseArgs({
  options: {
    partitions: { type: "string", default: "1,60,1000" },
    runs: { type: "string", default: "3" },
    json: { type: "string" },
  },
});

/** Returns its name; it holds the same records whatever the number of partitions. */
async function createTopic({ cluster }: Place, partitionCount: number): Promise<string> {
  const topic = `bench-${partitionCount}`;
  await cluster.createTopics([{ topic, partitionCount, replicationFactor: 1, config: {} }]);
  const length = Math.ceil(totalRecords / partitionCount);
  const value = Buffer.alloc(valueBytes, "abcdefghij");
  const timestamp = BigInt(Date.now());
  const records = Array.from({ length }, (_, i) => ({
    ...{ timestamp, key: Buffer.from(String(i)), value },
    headers: [],
  }));
  for (let partition = 0; partition < partitionCount; partition++) {
    // Waits until the partition has a leader.
    await cluster.logEndOffset({ topic, partition });
    for (let from = 0; from < length; from += batchRecords) {
      const batch = encodeBatch(records.slice(from, from + batchRecords), { codec: "none" });
      const { error } = await cluster.produce({ topic, partition, batch, timeoutMs: 30_000 });
      if (error !== "NONE") throw new Error(`${topic}-${partition}: ${error}`);
    }
  }
  return topic;
}

async function byCommandLine(place: Place, topic: string, backupId: string): Promise<number> {
  const { aws, bootstrapServers, folder } = place;
  const { endpoint, region } = aws;
  const config = join(folder, `${backupId}.json`);
  const source = { bootstrap_servers: bootstrapServers, topics: { include: [topic] } };
  const storage = { backend: "s3", bucket, endpoint, region };
  await writeFile(config, JSON.stringify({ mode: "backup", backup_id: backupId, source, storage }));
  const env = { ...process.env, ...environmentFor(aws) };
  const startedAtMs = performance.now();
  const args = [program, "backup", "--config", config, "--format", "json"];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  const wallMs = performance.now() - startedAtMs;
  requireDone(JSON.parse(stdout));
  return wallMs;
}

async function byMachine(place: Place, topic: string, backupId: string): Promise<MachineRun> {
  const { client, stateMachineArn } = place;
  const input = JSON.stringify({ backup_id: backupId, topics: { include: [topic] } });
  const startedAtMs = performance.now();
  const started = await client.send(new StartExecutionCommand({ stateMachineArn, input }));
  const { executionArn } = started;
  for (;;) {
    const { status, output, cause } = await client.send(
      new DescribeExecutionCommand({ executionArn }),
    );
    if (status === "RUNNING") {
      await sleep(pollMs);
      continue;
    }
    const wallMs = performance.now() - startedAtMs;
    if (status !== "SUCCEEDED") throw new Error(`the machine's run ended ${status}: ${cause}`);
    requireDone(JSON.parse(output ?? "{}"));
    return { wallMs, children: await childrenOf(client, executionArn!) };
  }
}

async function childrenOf(client: SFNClient, executionArn: string): Promise<number> {
  const { mapRuns = [] } = await client.send(new ListMapRunsCommand({ executionArn }));
  let children = 0;
  for (const { mapRunArn } of mapRuns) {
    const { executions = [] } = await client.send(new ListExecutionsCommand({ mapRunArn }));
    children += executions.length;
  }
  return children;
}

function requireDone(result: { status?: string; record_count?: number }): void {
  const isWhole = (result.record_count ?? 0) >= totalRecords;
  if (result.status !== "done" || !isWhole) throw new Error(JSON.stringify(result));
}

async function measure(place: Place, partitionCount: number, runs: number): Promise<Section> {
  const topic = await createTopic(place, partitionCount);
  const machines: MachineRun[] = [];
  const commands: number[] = [];
  for (let run = 0; run < runs; run++) {
    process.stderr.write(`${partitionCount} partitions, round ${run + 1} of ${runs}\n`);
    commands.push(await byCommandLine(place, topic, `command-${partitionCount}-${run}`));
    machines.push(await byMachine(place, topic, `machine-${partitionCount}-${run}`));
  }
  const theirs = medianOf(commands, (ms) => ms) / 1_000;
  const ours = medianOf(machines, ({ wallMs }) => wallMs) / 1_000;
  const rows: Row[] = [
    row("from start to end", "s", ours, { theirs }),
    row(
      "children of the Map",
      "x",
      medianOf(machines, ({ children }) => children),
    ),
  ];
  return {
    name: `${partitionCount}-partitions`,
    title: `${totalRecords} records in ${partitionCount} partitions`,
    columns: ["state machine", "command line"],
    rows,
  };
}

async function main(): Promise<void> {
  const partitions = values.partitions.split(",").map(Number);
  const runs = Number(values.runs);
  if (![runs, ...partitions].every((count) => Number.isInteger(count) && count > 0)) {
    throw new Error("--partitions and --runs take whole numbers from 1 on");
  }
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-orchestration-"));
  const started = await Promise.allSettled([startKafka(), startMinistack()]);
  try {
    const [kafka, aws] = started;
    if (kafka.status === "rejected") throw kafka.reason;
    if (aws.status === "rejected") throw aws.reason;
    const { bootstrapServers } = kafka.value;
    const stage = await deployAwsStage(aws.value, {
      ...{ bootstrapServers, bucket, stackName: "Bench", topics: [noTopic] },
    });
    const { endpoint, region, accessKeyId, secretAccessKey } = aws.value;
    const place: Place = {
      ...{ aws: aws.value, bootstrapServers, folder },
      cluster: await connectCluster(
        { bootstrap_servers: [bootstrapServers], security_protocol: "PLAINTEXT" },
        { clock: systemClock, logger: silentLogger },
      ),
      stateMachineArn: stage.stateMachines.backup!,
      client: new SFNClient({ endpoint, region, credentials: { accessKeyId, secretAccessKey } }),
    };
    const sections: Section[] = [];
    for (const count of partitions) {
      const section = await measure(place, count, runs);
      process.stdout.write(`\n${sectionText(section)}`);
      sections.push(section);
    }
    place.client.destroy();
    await place.cluster.disconnect();
    if (values.json !== undefined) {
      await writeFile(values.json, `${JSON.stringify({ runs, sections }, null, 2)}\n`);
    }
  } finally {
    const running = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    await Promise.all(running.map((service) => service.stop()));
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
