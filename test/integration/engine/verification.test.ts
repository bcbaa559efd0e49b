/** A target that changed between a restore and its verification, in each field of a record. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeBatch, type NewRecord } from "#core/kafka/batch-builder.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { batchHeaderBytes, lastOffsetOf, readBatchHeader } from "#core/kafka/record-batch.ts";
import { decodeRecords } from "#core/kafka/records.ts";
import { append } from "#test/support/append.ts";
import { batchOnDisk, flipByteOnDisk } from "#test/support/broker-files.ts";
import { type TestEngine, testEngine } from "#test/support/engine.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { KafkaAdmin } from "#test/support/kafka-admin.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

/** The record that changes: in the middle of the third of five batches of ten. */
const changedOffset = 25n;
let cluster: Cluster;
let admin: KafkaAdmin;
let source: string;
let backup: TestEngine;
let restored: string;

beforeAll(async () => {
  cluster = await connectForTests();
  admin = await KafkaAdmin.connect();
  source = await createTopic(cluster, { prefix: "source" });
  for (let batch = 0; batch < 5; batch++) {
    const records = Array.from({ length: 10 }, (_, i) => recordOf(batch * 10 + i));
    await append(cluster, { topic: source, partition: 0 }, encodeBatch(records, { codec: "none" }));
  }
  backup = testEngine(cluster);
  await backup.backup([source]);
  restored = randomName("restored");
});
afterAll(() => Promise.all([cluster.disconnect(), admin.disconnect()]));

/** Large enough that its batch is sent as it is. */
function recordOf(number: number): NewRecord {
  return {
    timestamp: BigInt(Date.now()),
    key: Buffer.from(`key ${number}`),
    value: Buffer.from(`value ${number} `.padEnd(1_000, "x")),
    headers: [
      { key: "a", value: Buffer.from("1") },
      { key: "b", value: null },
    ],
  };
}

type Change = (record: NewRecord) => NewRecord | undefined;

const changes: readonly (readonly [what: string, field: string, change: Change])[] = [
  ["a byte of the value", "value", (r) => ({ ...r, value: flipped(r.value!) })],
  ["a value that became null", "value", (r) => ({ ...r, value: null })],
  ["a value that lost its end", "value", (r) => ({ ...r, value: r.value!.subarray(1) })],
  ["a byte of the key", "key", (r) => ({ ...r, key: flipped(r.key!) })],
  ["a key that became empty", "key", (r) => ({ ...r, key: Buffer.alloc(0) })],
  ["a key that became null", "key", (r) => ({ ...r, key: null })],
  ["a header that is gone", "headers", (r) => ({ ...r, headers: r.headers!.slice(1) })],
  ["headers in another order", "headers", (r) => ({ ...r, headers: r.headers!.toReversed() })],
  ["a null header that became empty", "headers", (r) => ({ ...r, headers: emptied(r) })],
  ["a timestamp", "timestamp", (r) => ({ ...r, timestamp: r.timestamp + 1n })],
  ["a record that is gone", "offset", () => undefined],
];

function flipped(bytes: Uint8Array): Buffer {
  const copy = Buffer.from(bytes);
  copy[0]! ^= 1;
  return copy;
}

function emptied({ headers = [] }: NewRecord): NonNullable<NewRecord["headers"]> {
  return headers.map(({ key, value }) => ({ key, value: value ?? Buffer.alloc(0) }));
}

/** What the target would hold: the batch at the front of `records`, with one record changed. */
function changedBatch(records: Buffer, topic: string, change: Change): Buffer {
  const header = readBatchHeader(records);
  const body = records.subarray(batchHeaderBytes, header.sizeInBytes);
  const found = decodeRecords(header, body, { topic, partition: 0 });
  const changed = found.flatMap((record) => {
    const after = record.offset === changedOffset ? change(record) : record;
    const offsetDelta = Number(record.offset - header.baseOffset);
    return after === undefined ? [] : [{ ...after, offsetDelta }];
  });
  const { baseOffset, partitionLeaderEpoch, producerId, producerEpoch, baseSequence } = header;
  return encodeBatch(changed, {
    ...{ codec: "none", baseOffset, partitionLeaderEpoch, lastOffsetDelta: header.lastOffsetDelta },
    ...{ producerId, producerEpoch, baseSequence },
  });
}

/** A restore fetches for its verification alone. */
function changing(topic: string, change: Change): TestEngine {
  const { storage, backupId } = backup;
  const changed = wrappedCluster(cluster, {
    fetch: async (request) => {
      const answer = await cluster.fetch({ ...request, maxBytes: 1 });
      const { baseOffset } = readBatchHeader(answer.records);
      const isChanged =
        baseOffset <= changedOffset &&
        lastOffsetOf(readBatchHeader(answer.records)) >= changedOffset;
      if (!isChanged) return answer;
      return { ...answer, records: changedBatch(answer.records, topic, change) };
    },
  });
  return testEngine(changed, { storage, backupId });
}

describe("R10 the verification of a restore names", () => {
  test.each(changes)("%s, by the first offset and the %s", async (_, field, change) => {
    const verifying = changing(restored, change).restore({ [source]: restored });
    await expect(verifying).rejects.toMatchObject({
      name: "VerificationFailedError",
      message:
        `${restored}-0: the record at offset ${changedOffset} has another ${field} than the one ` +
        `at offset ${changedOffset} of ${source}-0 in the backup`,
      details: { topic: restored, partition: 0, offset: changedOffset, field },
    });
  });

  test("nothing, where the target is read as it is: the same restore is then done", async () => {
    const same = changing(restored, (record) => record);
    const { status, report } = await same.restore({ [source]: restored });
    expect(status).toBe("done");
    expect(report).toMatchObject({ record_count: 50n, resumed: true });
  });

  test("a byte that flipped in the broker's own file", async () => {
    const topic = randomName("restored");
    let isFlipped = false;
    const rotting = wrappedCluster(cluster, {
      fetch: async (request) => {
        if (!isFlipped) await flipByteOnDisk(await batchOnDisk(topic, 20n), 5_000);
        isFlipped = true;
        return cluster.fetch(request);
      },
    });
    const { storage, backupId } = backup;
    const engine = testEngine(rotting, { storage, backupId });
    await expect(engine.restore({ [source]: topic })).rejects.toMatchObject({
      name: "CorruptRecordBatchError",
      message: expect.stringContaining(`${topic}-0 at offset 20`),
    });
  });

  test("records that somebody deleted before it", async () => {
    const topic = randomName("restored");
    let isDeleted = false;
    const deleting = wrappedCluster(cluster, {
      fetch: async (request) => {
        if (!isDeleted) await admin.deleteRecordsBefore(topic, 0, 10);
        isDeleted = true;
        return cluster.fetch(request);
      },
    });
    const { storage, backupId } = backup;
    const engine = testEngine(deleting, { storage, backupId });
    await expect(engine.restore({ [source]: topic })).rejects.toMatchObject({
      name: "OffsetOutOfRangeError",
      message: expect.stringContaining(`${topic}-0 at offset 0`),
    });
  });
});
