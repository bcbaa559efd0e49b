/**
 * The three-phase-restore machine whose function is killed while it sets offsets: its own Kafka is
 * behind a proxy that keeps commits of some groups back, so that others are set and these are not.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { deployAwsStage } from "#local/aws-stage.ts";
import { appendNumbered } from "#test/support/append.ts";
import { storageIn } from "#test/support/bucket.ts";
import { testEngine } from "#test/support/engine.ts";
import { killFunction, whileBroken } from "#test/support/function-faults.ts";
import { connectForTests, createTopic, randomName } from "#test/support/kafka.ts";
import { type KafkaBehindProxy, startKafkaBehindProxy } from "#test/support/kafka-behind-proxy.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const bucket = randomName("bucket");
const stackName = "KafkaBackupResetFaults";
/** Eight groups are set at a time: the ninth's turn comes when one of them is done. */
const groupsInFlight = 8;
const groups = Array.from({ length: groupsInFlight + 4 }, (_, i) => randomName(`group-${i}`));

let broker: KafkaBehindProxy;
let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let backupId: string;
let source: string;

beforeAll(async () => {
  broker = await startKafkaBehindProxy();
  const bootstrapServers = broker.proxy.address;
  const topics = ["no-such-topic"];
  const deploying = deployAwsStage(aws, { bootstrapServers, bucket, stackName, topics });
  cluster = await connectForTests({ bootstrap_servers: [broker.kafka.bootstrapServers] });
  source = await createTopic(cluster);
  await appendNumbered(cluster, { topic: source, from: 0, count: 100 });
  for (const group of groups) await commit(group, source, 20n);
  const { stateMachines } = await deploying;
  machine = new TestStateMachine(aws, stateMachines["three-phase-restore"]!);
  storage = await storageIn(bucket);
  const engine = testEngine(cluster, { storage });
  backupId = engine.backupId;
  await engine.backup([source]);
}, 300_000);

afterEach(() => broker.proxy.set(undefined));

afterAll(async () => {
  machine?.close();
  await storage?.close();
  await cluster?.disconnect();
  await broker?.stop();
});

async function commit(group: string, topic: string, offset: bigint): Promise<void> {
  const at = { topic, partition: 0, offset, leaderEpoch: -1, metadata: "" };
  expect((await cluster.commitOffsets(group, [at])).map(({ error }) => error)).toEqual([undefined]);
}

/** Of each group in its order; undefined where it has committed nothing there. */
async function standing(topic: string): Promise<(bigint | undefined)[]> {
  const committed = await cluster.committedOffsets(groups);
  return groups.map((name) => {
    const found = committed.groups.find(({ group }) => group === name);
    return found?.offsets.find((at) => at.topic === topic)?.offset;
  });
}

const allAt = (offset: bigint | undefined) => groups.map(() => offset);

function inputFor(target: string) {
  return {
    ...{ backup_id: backupId, topics: { include: [source] } },
    ...{ topic_mapping: { [source]: target }, consumer_groups: groups },
  };
}

/** Kafka's number of OffsetCommit requests. */
const offsetCommit = 8;

/**
 * Keeps back what commits the ninth and each later group of those that come. Returns the proxy's
 * count of faults before.
 */
function holdLateGroups(): number {
  const seen: string[] = [];
  broker.proxy.set({
    kind: "hold",
    matches: (piece) =>
      requestsIn(piece).some((request) => {
        if (request.readInt16BE(4) !== offsetCommit) return false;
        const group = groups.find((name) => request.includes(name))!;
        if (!seen.includes(group)) seen.push(group);
        return seen.indexOf(group) >= groupsInFlight;
      }),
  });
  return broker.proxy.faults();
}

/** `size (4) api_key (2) api_version (2) …`; what is cut off by a piece's end is with it. */
function requestsIn(piece: Buffer): Buffer[] {
  const requests: Buffer[] = [];
  for (let at = 0; at + 8 <= piece.length; ) {
    const end = at + 4 + piece.readUInt32BE(at);
    requests.push(piece.subarray(at, end));
    at = end;
  }
  return requests;
}

/** Resolves when another commit than before is held back, or the execution has entered `state`. */
async function heldOrIn(execution: string, before: number, state: string): Promise<boolean> {
  const look = async () => {
    const isThere = (await machine.statesOf(execution)).includes(state);
    expect(isThere || broker.proxy.faults() > before).toBe(true);
    return isThere;
  };
  return vi.waitFor(look, { timeout: 120_000, interval: 50 });
}

/** Kills each attempt of the function when it has set some groups, and not all. */
async function killUntil(execution: string, first: number, state: string): Promise<void> {
  for (let before = first; ; before = broker.proxy.faults()) {
    if (await heldOrIn(execution, before, state)) return;
    await killFunction(stackName, "reset-offsets");
  }
}

async function expectSetInPart(target: string): Promise<void> {
  const stand = await standing(target);
  expect(stand).toContain(20n);
  expect(stand).toContain(undefined);
  expect(stand.filter((offset) => offset === undefined).length).toBeGreaterThanOrEqual(4);
}

describe("R7 a function that is killed when it has set some groups", () => {
  test("goes on with the others when it is repeated", async () => {
    const target = randomName("killed-once");
    const before = holdLateGroups();
    const execution = await machine.start(inputFor(target));
    await heldOrIn(execution, before, "UndoOffsetReset");
    await expectSetInPart(target);
    await killFunction(stackName, "reset-offsets");
    broker.proxy.set(undefined);
    const ended = await machine.ended(execution);
    expect(ended).toMatchObject({
      status: "SUCCEEDED",
      output: { status: "done", earlier_resets: 0, groups: { count: groups.length } },
    });
    expect(await machine.statesOf(execution)).not.toContain("UndoOffsetReset");
    expect(await standing(target)).toEqual(allAt(20n));
  }, 240_000);

  test("time and again leaves all of them where they stood, and the same input repeats it", async () => {
    const target = randomName("killed-often");
    const before = holdLateGroups();
    const execution = await machine.start(inputFor(target));
    await killUntil(execution, before, "UndoOffsetReset");
    const ended = await machine.ended(execution);
    expect(ended).toMatchObject({ status: "FAILED", error: "OffsetResetFailedError" });
    expect(ended.message).toMatch(/all groups stand where they stood before, as in snapshot /);
    expect(await standing(target)).toEqual(allAt(undefined));
    broker.proxy.set(undefined);
    const again = await machine.run(inputFor(target));
    expect(again.output).toMatchObject({ status: "done", resumed: true, earlier_resets: 1 });
    expect(await standing(target)).toEqual(allAt(20n));
  }, 240_000);

  test("and cannot be undone is told by name; the same input undoes it first", async () => {
    const target = randomName("not-undone");
    const before = holdLateGroups();
    const ended = await whileBroken(aws, stackName, ["undo-offset-reset"], async () => {
      const execution = await machine.start(inputFor(target));
      await killUntil(execution, before, "UndoOffsetReset");
      return machine.ended(execution);
    });
    expect(ended).toMatchObject({ status: "FAILED", error: "OffsetResetFailedError" });
    expect(ended.message).toMatch(
      /^offsets of groups may be set in part: .*could not be put back: /,
    );
    await expectSetInPart(target);
    broker.proxy.set(undefined);
    const again = await machine.run(inputFor(target));
    expect(again.output).toMatchObject({ status: "done", resumed: true, earlier_resets: 1 });
    expect(await standing(target)).toEqual(allAt(20n));
  }, 240_000);
});
