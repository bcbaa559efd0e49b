/** How fast a run may be: by its own limit, and by a quota of the cluster (K5). */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { LogFields, Logger } from "#core/runtime.ts";
import { silentLogger } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { appendNumbered } from "#test/support/append.ts";
import { testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

let cluster: Cluster;
beforeAll(async () => {
  cluster = await connectForTests();
});
afterAll(() => cluster?.disconnect());

const partitionCount = 2;
const valueBytes = 10_000;
const perBatch = 5;
/** Of a batch: five values, and some 50 bytes around each. */
const batchBytesMax = perBatch * (valueBytes + 100);

/** A topic of `batches` batches in each of two partitions. */
async function filledTopic(batches: number): Promise<string> {
  const topic = await createTopic(cluster, { partitionCount });
  for (let partition = 0; partition < partitionCount; partition++) {
    await appendNumbered(cluster, {
      ...{ topic, partition, from: 0, count: batches * perBatch, perBatch, valueBytes },
    });
  }
  return topic;
}

interface Moved {
  readonly atMs: number;
  readonly bytes: number;
}

/** What is fetched is counted when it is there, what is produced when it leaves. */
function counting(moved: Moved[]): Cluster {
  return wrappedCluster(cluster, {
    async fetch(request) {
      const fetched = await cluster.fetch(request);
      moved.push({ atMs: systemClock.monotonicMs(), bytes: fetched.records.length });
      return fetched;
    },
    produce(request) {
      moved.push({ atMs: systemClock.monotonicMs(), bytes: request.batch.length });
      return cluster.produce(request);
    },
  });
}

/**
 * The fastest that any span from the first byte on may have been. A machine that is slow is only
 * slower. `late`: bytes that were allowed before and came after: one fetch of each partition.
 */
function expectNeverFaster(moved: readonly Moved[], bytesPerSecond: number): void {
  const late = partitionCount * batchBytesMax;
  const startMs = moved[0]!.atMs;
  let bytes = 0;
  for (const { atMs, bytes: more } of moved) {
    bytes += more;
    const allowed = bytesPerSecond * (1 + (atMs - startMs) / 1_000) + late;
    expect(bytes).toBeLessThanOrEqual(allowed);
  }
}

test("K5 a backup and a restore with a limit are never faster, and bring all", async () => {
  const topic = await filledTopic(15);
  const max_bytes_per_second = 500_000;
  const moved: Moved[] = [];
  const engine = testEngine(counting(moved));
  const result = await engine.backup([topic], {}, undefined, { max_bytes_per_second });
  expect(result.record_count).toBe(partitionCount * 15 * perBatch);
  // Else the limit had nothing to do.
  expect(result.batch_bytes).toBeGreaterThan(2 * max_bytes_per_second);
  expectNeverFaster(moved, max_bytes_per_second);

  moved.length = 0;
  const restored = await engine.restore(
    { [topic]: randomName("restored") },
    {},
    { max_bytes_per_second },
  );
  expect(restored).toMatchObject({ status: "done", failed: [] });
  const bytes = moved.reduce((sum, one) => sum + one.bytes, 0);
  // Sent once and read back once.
  expect(bytes).toBeGreaterThanOrEqual(2 * result.batch_bytes);
  expectNeverFaster(moved, max_bytes_per_second);
});

interface Warning {
  readonly message: string;
  readonly fields: LogFields | undefined;
}

test("K5 a quota of the cluster slows a backup and a restore down, and fails nothing", async () => {
  const topic = await filledTopic(10);
  const clientId = randomName("limited");
  const kafka = kafkaForTests();
  const quota = "consumer_byte_rate=75000,producer_byte_rate=75000";
  const { code, stderr } = await kafka.tool("kafka.admin.ConfigCommand", [
    ...["--bootstrap-server", kafka.bootstrapServers, "--alter", "--add-config", quota],
    ...["--entity-type", "clients", "--entity-name", clientId],
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });

  const warnings: Warning[] = [];
  const debugged: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    debug: (message) => debugged.push(message),
    warn: (message, fields) => warnings.push({ message, fields }),
  };
  const limited = await connectForTests({ client_id: clientId }, { logger });
  const engine = testEngine(limited);
  const result = await engine.backup([topic]);
  expect(result).toMatchObject({ status: "done", record_count: partitionCount * 10 * perBatch });
  const restored = await engine.restore({ [topic]: randomName("restored") });
  expect(restored).toMatchObject({ status: "done", failed: [] });
  await limited.disconnect();

  const inRestore = restored.report.throttled_ms ?? 0;
  expect(result.throttled_ms + inRestore).toBe(Math.round(limited.throttledMs()));
  expect(inRestore).toBeGreaterThan(0);
  expect(warnings).toHaveLength(1);
  expect(warnings[0]!.message).toMatch(/^broker .* throttles this client by a quota/);
  // No answer was given up, and nothing was asked for twice.
  expect(debugged.filter((message) => message === "a request is repeated")).toEqual([]);
});
