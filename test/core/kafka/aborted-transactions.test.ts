import { expect, test } from "vitest";
import { AbortedTransactionFilter } from "#core/kafka/aborted-transactions.ts";
import { encodeBatch } from "#core/kafka/batch-builder.ts";
import { checkBatch } from "#core/kafka/batch-check.ts";
import type { AbortedTransaction } from "#core/kafka/cluster.ts";
import { controlBit, lastOffsetOf, transactionalBit } from "#core/kafka/record-batch.ts";
import { javaBatch } from "#test/core/kafka/java-batches.ts";

const at = { topic: "orders", partition: 3 };
const alice = 1000n;
const bob = 2000n;

interface Sent {
  readonly batch: Buffer;
  readonly offsets: number;
}

/** A transactional batch of `records` records. */
function data(producerId: bigint, records = 1, key: Buffer | null = null): Sent {
  const value = Buffer.from("value");
  const batch = encodeBatch(
    Array.from({ length: records }, () => ({ timestamp: 5n, key, value })),
    { codec: "none", flags: transactionalBit, producerId, producerEpoch: 0, baseSequence: 0 },
  );
  return { batch, offsets: records };
}

/** A batch outside of any transaction; without producer id unless given. */
function plain(producerId = -1n, key: Buffer | null = null): Sent {
  const record = { timestamp: 5n, key, value: Buffer.from("value") };
  return { batch: encodeBatch([record], { codec: "none", producerId }), offsets: 1 };
}

/** What compaction leaves of a batch of `offsets` offsets. */
function emptied(producerId: bigint, offsets: number): Sent {
  const lastOffsetDelta = offsets - 1;
  const fields = { codec: "none", flags: transactionalBit, producerId, lastOffsetDelta } as const;
  return { batch: encodeBatch([], fields), offsets };
}

function marker(producerId: bigint, type: number, version = 0): Sent {
  const key = Buffer.alloc(4);
  key.writeInt16BE(version, 0);
  key.writeInt16BE(type, 2);
  const flags = transactionalBit | controlBit;
  const record = { timestamp: 5n, key, value: Buffer.alloc(6) };
  return { batch: encodeBatch([record], { codec: "none", flags, producerId }), offsets: 1 };
}

const abort = (producerId: bigint) => marker(producerId, 0);
const commit = (producerId: bigint) => marker(producerId, 1);

/** Classifies the batches of one fetch, laid out from `baseOffset` in one buffer. */
function classify(baseOffset: bigint, aborted: AbortedTransaction[], sent: Sent[]): string {
  let offset = baseOffset;
  const batches = sent.map(({ batch, offsets }) => {
    batch.writeBigInt64BE(offset, 0);
    offset += BigInt(offsets);
    return batch;
  });
  const buffer = Buffer.concat(batches);
  const filter = new AbortedTransactionFilter(aborted, at);
  const seen: string[] = [];
  for (let position = 0; position < buffer.length; ) {
    const header = checkBatch(buffer, position, at);
    seen.push(filter.classify(header, buffer, position));
    position += header.sizeInBytes;
  }
  expect(offset).toBe(baseOffset + sent.reduce((sum, { offsets }) => sum + BigInt(offsets), 0n));
  return seen.join(" ");
}

test("F4: two aborted transactions of one producer in one fetch", () => {
  const aborted = [
    { producerId: alice, firstOffset: 10n },
    { producerId: alice, firstOffset: 15n },
  ];
  const sent = [
    ...[data(alice, 2), abort(alice)],
    ...[data(alice), commit(alice)],
    ...[data(alice), data(alice), abort(alice)],
    ...[data(alice), commit(alice)],
  ];
  expect(classify(10n, aborted, sent)).toBe(
    "aborted control keep control aborted aborted control keep control",
  );
});

test("F4: the broker's list is taken in any order", () => {
  const aborted = [
    { producerId: alice, firstOffset: 14n },
    { producerId: alice, firstOffset: 10n },
  ];
  const sent = [
    ...[data(alice), abort(alice), data(alice), commit(alice), data(alice), abort(alice)],
  ];
  expect(classify(10n, aborted, sent)).toBe("aborted control keep control aborted control");
});

test("F4: one aborted transaction over many fetches, each with its own list", () => {
  const aborted = [{ producerId: alice, firstOffset: 10n }];
  expect(classify(10n, aborted, [data(alice, 5), plain()])).toBe("aborted keep");
  expect(classify(16n, aborted, [data(alice, 5), data(bob)])).toBe("aborted keep");
  expect(classify(22n, aborted, [data(alice), abort(alice), data(alice)])).toBe(
    "aborted control keep",
  );
  expect(classify(25n, [], [data(alice), commit(alice)])).toBe("keep control");
});

test("F4: a fetch that starts inside an aborted transaction", () => {
  const aborted = [{ producerId: alice, firstOffset: 3n }];
  const sent = [data(alice), abort(alice), data(alice), commit(alice)];
  expect(classify(100n, aborted, sent)).toBe("aborted control keep control");
});

test("F4: a transaction that begins within a batch's offsets drops that batch", () => {
  const aborted = [{ producerId: alice, firstOffset: 12n }];
  expect(classify(10n, aborted, [data(alice, 5), abort(alice)])).toBe("aborted control");
});

test("F4: a fetch that starts on the abort marker", () => {
  const aborted = [{ producerId: alice, firstOffset: 3n }];
  expect(classify(50n, aborted, [abort(alice), data(alice), commit(alice)])).toBe(
    "control keep control",
  );
});

test("F4: an empty aborted transaction, a marker without data", () => {
  expect(classify(10n, [], [abort(alice), data(alice), commit(alice)])).toBe(
    "control keep control",
  );
});

test("F4: an aborted transaction whose batches compaction emptied", () => {
  const aborted = [{ producerId: alice, firstOffset: 10n }];
  const sent = [emptied(alice, 4), abort(alice), data(alice), commit(alice)];
  expect(classify(10n, aborted, sent)).toBe("aborted control keep control");
});

test("F4: interleaved producers are told apart", () => {
  const aborted = [
    { producerId: alice, firstOffset: 10n },
    { producerId: bob, firstOffset: 13n },
  ];
  const sent = [
    ...[data(alice), data(bob), commit(bob), data(bob), data(alice)],
    ...[abort(alice), data(bob), data(alice), abort(bob), data(bob), commit(alice)],
  ];
  expect(classify(10n, aborted, sent)).toBe(
    "aborted keep control aborted aborted control aborted keep control keep control",
  );
});

test("F4: a user key of four zero bytes, an abort marker's key, is data and ends nothing", () => {
  const aborted = [{ producerId: alice, firstOffset: 10n }];
  const zeros = Buffer.alloc(4);
  const sent = [data(alice, 1, zeros), data(alice), plain(-1n, zeros), abort(alice)];
  expect(classify(10n, aborted, sent)).toBe("aborted aborted keep control");
});

test("F4: batches outside of transactions stay, of an aborting producer id too", () => {
  const aborted = [{ producerId: alice, firstOffset: 10n }];
  expect(classify(10n, aborted, [data(alice), plain(alice), plain(), abort(alice)])).toBe(
    "aborted keep keep control",
  );
});

test("F4: a commit marker does not end an aborted transaction, unknown control types neither", () => {
  const aborted = [{ producerId: alice, firstOffset: 10n }];
  const sent = [commit(alice), marker(alice, 77), data(alice), abort(alice), data(alice)];
  expect(classify(10n, aborted, sent)).toBe("control control aborted control keep");
});

test("F4: an abort marker of a later key version is one as well", () => {
  const aborted = [{ producerId: alice, firstOffset: 10n }];
  expect(classify(10n, aborted, [data(alice), marker(alice, 0, 1), data(alice)])).toBe(
    "aborted control keep",
  );
});

test("F4: the markers that Kafka's own client writes are read", () => {
  const filter = new AbortedTransactionFilter([{ producerId: 8n, firstOffset: 590n }], at);
  const seen = ["transactional", "abort marker", "commit marker", "transactional"].map((name) => {
    const { bytes } = javaBatch(name);
    const header = checkBatch(bytes, 0, at);
    return filter.classify({ ...header, baseOffset: lastOffsetOf(header) }, bytes, 0);
  });
  expect(seen).toEqual(["aborted", "control", "control", "keep"]);
});

test.each([
  ["too short", Buffer.alloc(3)],
  ["null", null],
  ["of a negative version", Buffer.from([0xff, 0xff, 0, 0])],
])("F6: a control batch whose key is %s is corrupt", (_name, key) => {
  const flags = transactionalBit | controlBit;
  const record = { timestamp: 5n, key, value: null };
  const batch = encodeBatch([record], { codec: "none", flags, producerId: alice });
  expect(() => classify(10n, [], [{ batch, offsets: 1 }])).toThrow("orders-3 at offset 10");
});
