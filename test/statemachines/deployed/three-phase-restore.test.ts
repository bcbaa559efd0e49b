/**
 * The machines that set offsets of consumer groups, as `cdk deploy` makes them, in the emulator, on
 * a real Kafka: three-phase-restore and offset-rollback.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { withLease } from "#core/catalog/with-lease.ts";
import { BackupError } from "#core/errors.ts";
import type { Cluster, NewOffset } from "#core/kafka/cluster.ts";
import { readSnapshot, takeSnapshot } from "#core/offsets/snapshot.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { randomId, systemClock } from "#core/system.ts";
import type { ThreePhaseReport } from "#core/three-phase/documents.ts";
import { ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";
import { type AwsStage, deployAwsStage } from "#local/aws-stage.ts";
import { readAs, valuesOf } from "#test/e2e/three-phase/applications.ts";
import { requestOf, runPhases, threePhaseDeps } from "#test/e2e/three-phase/three-phases.ts";
import { appendNumbered } from "#test/support/append.ts";
import { answer, questionOf } from "#test/support/approvals.ts";
import { storageIn } from "#test/support/bucket.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { metricsOf, unitsOf } from "#test/support/function-metrics.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { holdGroups } from "#test/support/members.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { TestStateMachine } from "#test/support/state-machine.ts";
import { wrappedCluster } from "#test/support/wrapped-cluster.ts";

const aws = s3ForTests();
const bucket = randomName("bucket");
const stackName = "KafkaBackupGroupsTest";
const { bootstrapServers } = kafkaForTests();
const groups = ["a", "b"].map((name) => randomName(`group-${name}`));
let stage: AwsStage;
let machine: TestStateMachine;
let rollbackMachine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;
let engine: TestEngine;
let backupId: string;
let folder: string;
/** Two partitions of a hundred records; each group stands at 20 and 60 of them. */
let source: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-three-phase-machine-"));
  cluster = await connectForTests();
  source = await createTopic(cluster, { partitionCount: 2, prefix: "orders" });
  const topics = [source];
  const deploying = deployAwsStage(aws, { bootstrapServers, bucket, stackName, topics });
  for (const partition of [0, 1]) {
    await appendNumbered(cluster, { topic: source, partition, from: 0, count: 100 });
  }
  for (const group of groups) {
    await commit(group, at(source, 0, 20n, "noted"), at(source, 1, 60n));
  }
  stage = await deploying;
  machine = new TestStateMachine(aws, stage.stateMachines["three-phase-restore"]!);
  rollbackMachine = new TestStateMachine(aws, stage.stateMachines["offset-rollback"]!);
  storage = await storageIn(bucket);
  engine = testEngine(cluster, { storage });
  backupId = engine.backupId;
  await engine.backup([source]);
}, 300_000);

afterAll(async () => {
  machine?.close();
  rollbackMachine?.close();
  await storage?.close();
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

function at(topic: string, partition: number, offset: bigint, metadata = ""): NewOffset {
  return { topic, partition, offset, leaderEpoch: -1, metadata };
}

async function commit(group: string, ...offsets: NewOffset[]): Promise<void> {
  const results = await cluster.commitOffsets(group, offsets);
  expect(results.map(({ error }) => error)).toEqual(offsets.map(() => undefined));
}

/** Of one topic: `partition offset metadata`. */
async function standing(group: string, topic: string): Promise<string[]> {
  const { groups: found } = await cluster.committedOffsets([group]);
  return (found[0]?.offsets ?? [])
    .filter((one) => one.topic === topic)
    .map(({ partition, offset, metadata }) => `${partition} ${offset} ${metadata}`)
    .sort();
}

async function allStanding(topic: string): Promise<string[][]> {
  return Promise.all(groups.map((group) => standing(group, topic)));
}

const whereTheyStood = groups.map(() => ["0 20 noted", "1 60 "]);

function inputFor(target: string, more: object = {}) {
  return {
    backup_id: backupId,
    topics: { include: [source] },
    topic_mapping: { [source]: target },
    consumer_groups: groups,
    turn_ms: 1_000,
    ...more,
  };
}

async function reportOf(id: unknown): Promise<ThreePhaseReport | undefined> {
  return new ThreePhaseRecord(storage, backupId, String(id)).report();
}

/** The same request by the command line, as a process. */
async function commandLine(target: string, ...args: string[]): Promise<Record<string, unknown>> {
  const config = join(folder, `${target}.json`);
  const { endpoint, region } = aws;
  const written = {
    mode: "restore",
    backup_id: backupId,
    target: { bootstrap_servers: bootstrapServers, topics: { include: [source] } },
    storage: { backend: "s3", bucket, endpoint, region },
    restore: { topic_mapping: { [source]: target }, consumer_groups: groups },
  };
  await writeFile(config, JSON.stringify(written));
  return kafkaBackup("three-phase-restore", "--config", config, ...args);
}

/** What the command prints. */
async function kafkaBackup(...args: string[]): Promise<Record<string, unknown>> {
  const { accessKeyId, secretAccessKey } = aws;
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  };
  const command = ["bin/kafka-backup", ...args, "--format", "json"];
  const { stdout } = await promisify(execFile)(process.execPath, command, { env });
  return JSON.parse(stdout);
}

/** What is equal whoever did it, and when, and into which topic. */
function comparable(report: ThreePhaseReport | undefined, target: string): unknown {
  const { outcome, strategy, offset_source, window, restored, groups, left_alone } = report!;
  const text = JSON.stringify(
    { outcome, strategy, offset_source, window, restored, groups, left_alone },
    (_key, value) => (typeof value === "bigint" ? String(value) : value),
  );
  return JSON.parse(text.replaceAll(target, "TARGET"));
}

describe("R7 three phases", () => {
  const target = randomName("by-machine");

  test("come out as the command line's, and Java consumers go on at the right record", async () => {
    const ended = await machine.run(inputFor(target));
    expect(ended).toMatchObject({ status: "SUCCEEDED", output: { status: "done" } });
    const { output } = ended;
    expect(output).toMatchObject({
      record_count: "200",
      partitions: 2,
      groups: { count: 2, first: groups.map((group) => ({ group, partitions: 2 })) },
      resumed: false,
      earlier_resets: 0,
    });
    expect(JSON.stringify(output).length).toBeLessThan(2_000);
    expect(await allStanding(target)).toEqual(whereTheyStood);
    const states = await machine.statesOf(ended.arn);
    expect(states).toEqual([
      ...["CheckThreePhase", "IsChecked", "PrepareThreePhase", "IsPrepared", "RunPrepared"],
      ...["IsRestoreNeeded", "Restore", "PlanOffsetReset", "IsPlanned", "RunPlanned"],
      ...["IsApprovalNeeded", "ResetOffsets"],
    ]);

    const byCommand = randomName("by-command");
    const { report } = (await commandLine(byCommand)) as { report: { three_phase_id: string } };
    expect(comparable(await reportOf(output.three_phase_id), target)).toEqual(
      comparable(await reportOf(report.three_phase_id), byCommand),
    );

    const applications = groups.map((group) => ({ protocol: "classic", group, count: 1 }) as const);
    const read = await readAs(applications, [target], "none");
    const inSource = await readAs(
      [{ protocol: "classic", group: randomName("reader"), count: "end" }],
      [source],
      "earliest",
    );
    const expected = [0, 1].map((partition) => {
      const offset = [20n, 60n][partition];
      const record = inSource.find((one) => one.partition === partition && one.offset === offset);
      return `${partition} ${record?.value}`;
    });
    for (const group of groups) expect(valuesOf(read, group)).toEqual(expected);
  }, 300_000);

  test("that are done are not done again", async () => {
    const ended = await machine.run(inputFor(target));
    expect(ended.output).toMatchObject({ status: "already_done", groups: { count: 2 } });
    expect(await machine.statesOf(ended.arn)).not.toContain("Restore");
  }, 120_000);
});

describe("R7 a plan that is to be approved", () => {
  test("is asked for with the lease let go, and carried out when it is approved", async () => {
    const target = randomName("approved");
    const execution = await machine.start(inputFor(target, { approval: true }));
    const question = await questionOf(storage, backupId, execution);
    expect(question).toMatchObject({
      restored_records: 200n,
      groups: { count: 2, first: [{ partitions: 2, undecided: 0, lag: 120n }, {}] },
    });
    expect(question.approve).toContain(`--task-token '${question.task_token}'`);
    const scope = restoreScope(backupId, cluster.clusterId);
    const deps = threePhaseDeps(storage, cluster);
    const lease = await deps.catalog.acquireLease(scope, 10_000, AbortSignal.timeout(20_000));
    await lease.release();
    expect(await allStanding(target)).toEqual([[], []]);
    await answer(aws, question, { decision: "approve", by: "someone" });
    expect((await machine.ended(execution)).output).toMatchObject({ status: "done" });
    expect(await allStanding(target)).toEqual(whereTheyStood);
    const told = await machine.inputOf(execution, "RequestApproval");
    expect(told).toMatchObject({ notified: { MessageId: expect.any(String) } });
  }, 240_000);

  test("touches no group when it is rejected, and the command line goes on with it", async () => {
    const target = randomName("rejected");
    const execution = await machine.start(inputFor(target, { approval: true }));
    const question = await questionOf(storage, backupId, execution);
    await answer(aws, question, { decision: "reject", by: "someone", reason: "not now" });
    const ended = await machine.ended(execution);
    expect(ended).toMatchObject({
      status: "SUCCEEDED",
      output: { status: "rejected", reason: "rejected by someone: not now" },
    });
    expect(await allStanding(target)).toEqual([[], []]);
    const { report } = await commandLine(target, "--resume");
    const { three_phase_id } = ended.output;
    expect(report).toMatchObject({ three_phase_id, resumed: true, earlier_resets: 1 });
    expect(await allStanding(target)).toEqual(whereTheyStood);
  }, 240_000);

  test.each([
    [{ error: "States.Timeout" }, "approval_expired", /nobody answered in time/],
    [{ decision: "maybe" }, "rejected", /the answer was neither/],
  ])(
    "is not carried out where it is answered by %j, and the same input asks again",
    async (given, status, reason) => {
      const target = randomName("unanswered");
      const execution = await machine.start(inputFor(target, { approval: true }));
      await answer(aws, await questionOf(storage, backupId, execution), given);
      const ended = await machine.ended(execution);
      expect(ended).toMatchObject({ status: "SUCCEEDED", output: { status } });
      expect(ended.output.reason).toMatch(reason);
      const again = await machine.start(inputFor(target, { approval: true }));
      const question = await questionOf(storage, backupId, again);
      expect(question).toMatchObject({ attempt: 2, three_phase_id: ended.output.three_phase_id });
      await answer(aws, question, { decision: "approve" });
      expect((await machine.ended(again)).output).toMatchObject({ status: "done", resumed: true });
    },
    300_000,
  );

  test("is not carried out where a group has moved meanwhile, whose own commit stays", async () => {
    const target = randomName("moved");
    const execution = await machine.start(inputFor(target, { approval: true }));
    const question = await questionOf(storage, backupId, execution);
    await commit(groups[1]!, at(target, 1, 7n, "own"));
    await answer(aws, question, { decision: "approve" });
    const ended = await machine.ended(execution);
    expect(ended).toMatchObject({ status: "FAILED", error: "OffsetResetFailedError" });
    expect(ended.message).toMatch(
      /moved since the plan was made: group ".*", .*-1: from nothing to 7/,
    );
    expect(await allStanding(target)).toEqual([[], ["1 7 own"]]);
    expect((await machine.run(inputFor(target))).output).toMatchObject({ status: "done" });
  }, 300_000);

  test("says that it is done where another execution was faster", async () => {
    const target = randomName("overtaken");
    const execution = await machine.start(inputFor(target, { approval: true }));
    const question = await questionOf(storage, backupId, execution);
    const faster = await machine.run(inputFor(target));
    expect(faster.output).toMatchObject({ status: "done", earlier_resets: 1 });
    await answer(aws, question, { decision: "approve" });
    expect((await machine.ended(execution)).output).toMatchObject({
      status: "already_done",
      three_phase_id: faster.output.three_phase_id,
    });
  }, 300_000);
});

describe("R7 a reset that fails", () => {
  test("puts back what was set already, exactly, and the same input repeats it alone", async () => {
    const target = await createTopic(cluster, { partitionCount: 2 });
    await commit(groups[0]!, at(target, 0, 0n, "before"));
    const input = inputFor(target, { allow_non_empty: true });
    const execution = await machine.start({ ...input, approval: true });
    const question = await questionOf(storage, backupId, execution);
    const members = await holdGroups(source, [`classic:${groups[1]}`]);
    try {
      // As an attempt leaves it that is cut off after the first group.
      await commit(groups[0]!, at(target, 0, 20n, "noted"), at(target, 1, 60n));
      await answer(aws, question, { decision: "approve" });
      const ended = await machine.ended(execution);
      expect(ended).toMatchObject({ status: "FAILED", error: "OffsetResetFailedError" });
      expect(ended.message).toMatch(/has a member: classic:/);
      expect(await machine.statesOf(ended.arn)).toEqual(
        expect.arrayContaining(["ResetOffsets", "UndoOffsetReset", "ResetFailed"]),
      );
      expect(await allStanding(target)).toEqual([["0 0 before"], []]);
      const refused = await machine.run(input);
      expect(refused).toMatchObject({ status: "FAILED", error: "GroupNotEmptyError" });
    } finally {
      await members.release();
    }
    const again = await machine.run(input);
    expect(again.output).toMatchObject({ status: "done", resumed: true, earlier_resets: 1 });
    expect(await machine.statesOf(again.arn)).not.toContain("Restore");
    expect(await allStanding(target)).toEqual(whereTheyStood);

    const [failed] = await metricsOf(aws, stackName, "ResetsFailed");
    expect(failed).toMatchObject({ backup_id: backupId, ResetsFailed: 1 });
    expect(unitsOf(failed!)).toEqual({ ResetsFailed: "Count" });
    const reset = (await metricsOf(aws, stackName, "GroupsReset")).at(-1);
    expect(reset).toMatchObject({ backup_id: backupId, GroupsReset: groups.length });
    expect(unitsOf(reset!)).toEqual({ GroupsReset: "Count" });
  }, 300_000);

  test("of the command line is continued by the machine", async () => {
    const target = randomName("begun-by-command");
    const failing = wrappedCluster(cluster, {
      commitOffsets: async () => {
        throw new BackupError("BrokerUnavailableError", "no coordinator");
      },
    });
    const request = requestOf(backupId, { [source]: target }, { groups: { groups } });
    await expect(runPhases(threePhaseDeps(storage, failing), request)).rejects.toThrow(
      /offsets of groups are not set/,
    );
    const ended = await machine.run(inputFor(target, { resume: true }));
    expect(ended.output).toMatchObject({ status: "done", resumed: true, earlier_resets: 1 });
    expect(await allStanding(target)).toEqual(whereTheyStood);
  }, 240_000);
});

describe("backup_first", () => {
  test("brings what came since the last run, as an execution within", async () => {
    const target = randomName("backup-first");
    for (const partition of [0, 1]) {
      await appendNumbered(cluster, { topic: source, partition, from: 100, count: 10 });
    }
    await commit(groups[0]!, at(source, 0, 105n, "new"));
    const ended = await machine.run(inputFor(target, { backup_first: true }));
    expect(ended.output).toMatchObject({
      status: "done",
      record_count: "220",
      backup_first: { record_count: 20 },
    });
    expect(await standing(groups[0]!, target)).toEqual(["0 105 new", "1 60 "]);
  }, 240_000);

  test("that fails fails the execution by the name that the machine within told", async () => {
    const input = inputFor(randomName("no-backup"), { backup_first: true });
    const deps = threePhaseDeps(storage, cluster);
    const scope = { backupId, purpose: "backup" };
    const ended = await withLease(deps, scope, noDeadline, () => machine.run(input));
    expect(ended).toMatchObject({ status: "FAILED", error: "BackupConflictError" });
    expect(ended.message).toMatch(/^lease "backup" of backup/);
  }, 240_000);
});

describe("input of three-phase-restore", () => {
  test.each([
    [{ consumer_groups: [] }, "InvalidRequestError", /^consumer_groups: /],
    [{ group: "a" }, "InvalidRequestError", /"group"/],
    [{}, "InvalidRequestError", /^consumer_groups: is required/],
    [{ consumer_groups: ["a"], approval_timeout_secs: 1 }, "InvalidRequestError", /^approval_t/],
    [{ consumer_groups: ["a"], new: true, resume: true }, "InvalidRequestError", /^resume: /],
    [{ consumer_groups: ["a"], resume: true }, "BackupNotFoundError", /./],
  ])(
    "%j fails at once and says why",
    async (input, error, message) => {
      const ended = await machine.run(input);
      expect(ended).toMatchObject({ status: "FAILED", error });
      expect(ended.message).toMatch(message);
    },
    120_000,
  );

  test("of a dry run is answered with the plan, and nothing is written", async () => {
    const target = randomName("dry");
    const { output } = await machine.run(inputFor(target, { dry_run: true }));
    expect(output).toMatchObject({
      ...{ status: "dry_run", would: "begin", three_phase_id: null },
      groups: { count: 2 },
      restore: { partitions: 2 },
    });
    expect(await cluster.describeTopics([target])).toEqual([]);
  }, 120_000);
});

describe("R8 offset-rollback", () => {
  const group = randomName("rolled-back");
  let snapshotId: string;

  beforeAll(async () => {
    await commit(group, at(source, 0, 30n, "then"));
    const deps = { storage, cluster, clock: systemClock, logger: silentLogger, newId: randomId };
    const asked = { groups: { groups: [group] }, description: "" };
    snapshotId = (await takeSnapshot(deps, asked)).snapshot_id;
    await commit(group, at(source, 0, 40n, "now"), at(source, 1, 5n));
  });

  test("is told beforehand by a dry run, which changes nothing", async () => {
    const { output } = await rollbackMachine.run({ snapshot_id: snapshotId, dry_run: true });
    expect(output).toMatchObject({ status: "dry_run", can_roll_back: true, group_count: 1 });
    expect(await standing(group, source)).toEqual(["0 40 now", "1 5 "]);
  }, 120_000);

  test("refuses groups with members, and changes nothing", async () => {
    const members = await holdGroups(source, [`classic:${group}`]);
    try {
      const before = await standing(group, source);
      const ended = await rollbackMachine.run({ snapshot_id: snapshotId });
      expect(ended).toMatchObject({ status: "FAILED", error: "GroupNotEmptyError" });
      expect(await standing(group, source)).toEqual(before);
    } finally {
      await members.release();
    }
  }, 180_000);

  test("puts offsets, metadata and absent entries back, and says how to undo it", async () => {
    await commit(group, at(source, 0, 40n, "now"), at(source, 1, 5n));
    const { output } = await rollbackMachine.run({ snapshot_id: snapshotId });
    expect(output).toMatchObject({
      ...{ status: "done", verified: true },
      groups: { count: 1, first: [{ group, committed: 1, deleted: 1 }] },
    });
    expect(await standing(group, source)).toEqual(["0 30 then"]);
    const safety = await readSnapshot(storage, String(output.safety_snapshot_id));
    expect(Object.keys(safety.consumer_groups[group]!.partitions)).toHaveLength(2);
    await rollbackMachine.run({ snapshot_id: output.safety_snapshot_id });
    expect(await standing(group, source)).toEqual(["0 40 now", "1 5 "]);
  }, 180_000);

  test("says and does what the command line does", async () => {
    await commit(group, at(source, 0, 40n, "now"), at(source, 1, 5n));
    const { output } = await rollbackMachine.run({ snapshot_id: snapshotId });
    const byMachine = await standing(group, source);
    await commit(group, at(source, 0, 40n, "now"), at(source, 1, 5n));
    const told = await kafkaBackup(
      ...["offset-rollback", "rollback", "--snapshot-id", snapshotId],
      ...["--path", `s3://${bucket}?endpoint=${aws.endpoint}`],
      ...["--bootstrap-servers", bootstrapServers],
    );
    expect(byMachine).toEqual(["0 30 then"]);
    expect(await standing(group, source)).toEqual(byMachine);
    const { outcomes, warnings, safety_snapshot_id: _, ...equal } = told;
    expect(output).toMatchObject({
      ...equal,
      groups: {
        count: 1,
        first: (outcomes as { group: string; committed: number; deleted: number }[]).map(
          ({ group, committed, deleted }) => ({ group, committed, deleted }),
        ),
      },
      warnings: { count: 0, first: warnings },
    });
  }, 180_000);

  test.each([
    [() => ({ snapshot_id: "no-such" }), "SnapshotNotFoundError", /no-such/],
    [() => ({ snapshot_id: snapshotId, groups: ["other"] }), "InvalidRequestError", /"other"/],
    [() => ({ groups: ["other"] }), "InvalidRequestError", /^snapshot_id: /],
    [() => ({ snapshot_id: "../x" }), "InvalidRequestError", /snapshot/],
  ])(
    "fails at once and says why (%#)",
    async (input, error, message) => {
      const ended = await rollbackMachine.run(input());
      expect(ended).toMatchObject({ status: "FAILED", error });
      expect(ended.message).toMatch(message);
    },
    120_000,
  );
});
