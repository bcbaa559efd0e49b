/**
 * Every branch of every state machine, as `cdk deploy` makes them, is taken here at least once: each
 * choice and each Catch. Where a branch is taken because something failed, the same input afterwards
 * does what it was asked. The last test looks at the histories of all executions of the deployment.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { machines as deployedMachines } from "#cdk/machines/all.ts";
import type { LeaseScope } from "#core/catalog/catalog.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { takeSnapshot } from "#core/offsets/snapshot.ts";
import { restoreScope } from "#core/restore/scope.ts";
import { silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup, manifestKey, newestManifestKey } from "#core/storage/keys.ts";
import { randomId, systemClock } from "#core/system.ts";
import { plannedRun } from "#core/three-phase/steps/contract.ts";
import { resetRun } from "#core/three-phase/steps/reset.ts";
import { deployAwsStage } from "#local/aws-stage.ts";
import { threePhaseDeps } from "#test/e2e/three-phase/three-phases.ts";
import { appendNumbered } from "#test/support/append.ts";
import { answer, questionOf } from "#test/support/approvals.ts";
import {
  branchesOf,
  branchesOfChild,
  branchesTaken,
  type Machine,
  type TaskEnd,
} from "#test/support/branches.ts";
import { storageIn } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import { emulatorCall } from "#test/support/emulator.ts";
import { noDeadline, type TestEngine, testEngine } from "#test/support/engine.ts";
import { gateFunction, killFunction, whileBroken } from "#test/support/function-faults.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { leaseHolder, takeOver, whileLeaseMoves } from "#test/support/leases.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { type Ended, TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const bucket = randomName("bucket");
const stackName = "KafkaBackupBranches";
const { bootstrapServers } = kafkaForTests();
/** Of the deployed functions, whose code lacks the handler that they name. */
const broken = "TypeError";

const machines = new Map<string, TestStateMachine>();
let topicArn: string;
let cluster: Cluster;
let storage: StorageBackend;
let engine: TestEngine;
/** More than are made ready in one turn; of two runs, so that plans of validations take two turns. */
const topics: string[] = [];
const group = randomName("group");

beforeAll(async () => {
  cluster = await connectForTests();
  for (let i = 0; i < 9; i++) {
    const topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 3 });
    topics.push(topic);
  }
  await commit(topics[0]!, 2n);
  const oneAtATime = { max_concurrent_partitions: 1 };
  const { stateMachines } = await deployAwsStage(aws, {
    ...{ bootstrapServers, bucket, stackName, topics: [topics[0]!], backup: oneAtATime },
    restoreInto: { bootstrapServers, restore: oneAtATime },
  });
  for (const [name, arn] of Object.entries(stateMachines)) {
    machines.set(name, new TestStateMachine(aws, arn));
  }
  topicArn = await alarmTopicArn();
  storage = await storageIn(bucket);
  engine = testEngine(cluster, { storage });
  await engine.backup(topics);
  await engine.backup(topics);
}, 300_000);

afterAll(async () => {
  for (const machine of machines.values()) machine.close();
  await storage?.close();
  await cluster?.disconnect();
});

function machine(name: string): TestStateMachine {
  return machines.get(name)!;
}

/** With the input's outcome; the states are the last that it entered. */
async function expectFailed(ended: Ended, error: string, ...states: string[]): Promise<void> {
  expect(ended, ended.message).toMatchObject({ status: "FAILED", error });
  const name = [...machines].find(([, one]) => one.isOwn(ended.arn))![0];
  expect((await machine(name).statesOf(ended.arn)).slice(-states.length)).toEqual(states);
}

async function expectDone(ended: Ended, output: object = { status: "done" }): Promise<void> {
  expect(ended, `${ended.error}: ${ended.message}`).toMatchObject({ status: "SUCCEEDED", output });
}

async function commit(topic: string, offset: bigint): Promise<void> {
  const at = { topic, partition: 0, offset, leaderEpoch: -1, metadata: "" };
  expect((await cluster.commitOffsets(group, [at])).map(({ error }) => error)).toEqual([undefined]);
}

async function standing(topic: string): Promise<bigint | undefined> {
  const { groups } = await cluster.committedOffsets([group]);
  return groups[0]?.offsets.find((at) => at.topic === topic)?.offset;
}

/** As an owner lets go that waited until it was still for 30 s. */
async function freeLease(scope: LeaseScope): Promise<void> {
  const holder = await takeOver(storage, scope);
  await (await engine.catalog.continueLease(scope, holder)).release();
}

const restores = () => restoreScope(engine.backupId, cluster.clusterId);

describe("backup", () => {
  const inputFor = (backupId: string) => ({
    ...{ backup_id: backupId, topics: { include: topics }, turn_ms: 1 },
  });

  test.each([
    [["backup-partition"], ["JudgeBackup", "FailBackup", "BackupFailed"]],
    [
      ["backup-partition", "fail-partition"],
      ["BackupPartitions", "FailBackup", "BackupFailed"],
    ],
    [["judge-backup"], ["JudgeBackup", "FailBackup", "BackupFailed"]],
    [["finish-backup"], ["FinishBackup", "FailBackup", "BackupFailed"]],
    [
      ["finish-backup", "fail-backup"],
      ["FailBackup", "BackupFailed"],
    ],
  ])(
    "without %j fails by name, and is continued",
    async (names, states) => {
      const backupId = randomName("backup");
      const input = inputFor(backupId);
      const ended = await whileBroken(aws, stackName, names, () => machine("backup").run(input));
      const isOfMap = names.includes("fail-partition");
      await expectFailed(ended, isOfMap ? mapFailed : broken, ...states);
      expect(await engine.catalog.latestManifest(backupId)).toBeUndefined();
      if (names.includes("fail-backup")) await freeLease({ backupId, purpose: "backup" });
      const again = await machine("backup").run(input);
      await expectDone(again, { status: "done", generation: 1, record_count: 27, resumed: true });
    },
    120_000,
  );

  test("has nothing to do, or is not needed while another one is under way", async () => {
    const backupId = randomName("backup");
    await expectDone(await machine("backup").run(inputFor(backupId)));
    await expectDone(await machine("backup").run(inputFor(backupId)), { record_count: 0 });
    const scope = { backupId, purpose: "backup" };
    await takeOver(storage, scope);
    const [skipped, refused] = await whileLeaseMoves(engine, scope, async () => [
      await machine("backup").run({ ...inputFor(backupId), if_running: "skip" }),
      await machine("backup").run(inputFor(backupId)),
    ]);
    await expectDone(skipped!, { status: "skipped" });
    await expectFailed(refused!, "BackupConflictError", "PlanBackup", "MaySkip", "BackupFailed");
    const wrong = await machine("backup").run({ backup_id: "a b" });
    await expectFailed(wrong, "InvalidRequestError", "PlanBackup", "PlanFailed");
  }, 120_000);
});

const mapFailed = "States.ExceedToleratedFailureThreshold";

describe("restore", () => {
  const renamed = () => Object.fromEntries(topics.map((topic) => [topic, randomName("restored")]));
  const inputFor = (topic_mapping: Record<string, string>) => ({
    ...{ backup_id: engine.backupId, topic_mapping, turn_ms: 1 },
    topics: { include: Object.keys(topic_mapping) },
  });

  test.each([
    [["create-topics"], ["CreateTopics", "FailRestore", "RestoreFailed"]],
    [["restore-partition"], ["FinishTopics", "FailRestore", "RestoreFailed"]],
    [["verify-partition"], ["FinishTopics", "FailRestore", "RestoreFailed"]],
    [
      ["restore-partition", "fail-restore-partition"],
      ["RestorePartitions", "FailRestore", "RestoreFailed"],
    ],
    [["finish-topics"], ["FinishTopics", "FailRestore", "RestoreFailed"]],
    [["finish-restore"], ["FinishRestore", "FailRestore", "RestoreFailed"]],
    [
      ["create-topics", "fail-restore"],
      ["FailRestore", "RestoreFailed"],
    ],
  ])(
    "without %j fails by name, and is continued",
    async (names, states) => {
      const input = inputFor(renamed());
      const ended = await whileBroken(aws, stackName, names, () => machine("restore").run(input));
      const isOfMap = names.includes("fail-restore-partition");
      await expectFailed(ended, isOfMap ? mapFailed : broken, ...states);
      if (names.includes("fail-restore")) await freeLease(restores());
      const again = await machine("restore").run(input);
      await expectDone(again, { status: "done", record_count: "27", resumed: true });
    },
    180_000,
  );

  test("of a topic without partitions in the backup makes the topic, and has no items", async () => {
    const empty = await createTopic(cluster);
    const backup = testEngine(cluster, { storage });
    await backup.backup([empty, topics[0]!]);
    await leaveOutPartitions(backup.backupId, empty);
    const target = randomName("restored");
    const ended = await machine("restore").run({
      ...{ backup_id: backup.backupId, topics: { include: [empty] } },
      topic_mapping: { [empty]: target },
    });
    await expectDone(ended, { status: "done", record_count: "0", partitions: 0 });
    expect(await machine("restore").statesOf(ended.arn)).not.toContain("RestorePartitions");
    expect(await cluster.describeTopics([target])).toHaveLength(1);
  }, 120_000);

  test("answers a dry run at once, and fails at once where its input is wrong", async () => {
    const dry = await machine("restore").run({ ...inputFor(renamed()), dry_run: true });
    await expectDone(dry, { status: "dry_run" });
    const wrong = await machine("restore").run({ backup_id: "a b" });
    await expectFailed(wrong, "InvalidRequestError", "PlanRestore", "PlanFailed");
  });
});

/** As another writer of the format may: the topic stands in the manifest, and no partition of it. */
async function leaveOutPartitions(backupId: string, topic: string): Promise<void> {
  for (const name of [newestManifestKey, manifestKey(1)]) {
    const key = inBackup(backupId, name);
    const manifest = JSON.parse(String(await storage.get(key)));
    const stored = manifest.topics.find((one: { name: string }) => one.name === topic);
    stored.partitions = [];
    await storage.put(key, Buffer.from(JSON.stringify(manifest)));
  }
}

describe("validate", () => {
  const inputFor = () => ({ backup_id: engine.backupId, turn_ms: 1 });

  test.each([
    [["plan-validation"], broken, ["PlanValidation", "ValidationFailed"]],
    [["validate-segments"], broken, ["FinishValidation", "IsSound", "ValidationFailed"]],
    [["validate-segments", "fail-segments"], mapFailed, ["ValidateWorkItems", "ValidationFailed"]],
    [["finish-validation"], broken, ["FinishValidation", "ValidationFailed"]],
  ])(
    "without %j fails by name, and the next one is sound",
    async (names, error, states) => {
      const run = () => machine("validate").run(inputFor());
      await expectFailed(await whileBroken(aws, stackName, names, run), error, ...states);
      await expectDone(await run(), { status: "sound" });
    },
    120_000,
  );

  test("looks at a backup of nothing, and refuses one that is not there", async () => {
    const empty = testEngine(cluster, { storage });
    await empty.backup([await createTopic(cluster)]);
    const ended = await machine("validate").run({ backup_id: empty.backupId });
    await expectDone(ended, { status: "sound", checked: { segments: 0 } });
    const absent = await machine("validate").run({ backup_id: "nobody-s" });
    await expectFailed(absent, "BackupNotFoundError", "BeginValidation", "BeginningFailed");
  }, 120_000);
});

describe("offset-rollback", () => {
  test("is told by a dry run, fails by name without its function, and is repeated", async () => {
    const topic = await createTopic(cluster);
    await appendNumbered(cluster, { topic, from: 0, count: 9 });
    const own = randomName("rolled-back");
    const at = { topic, partition: 0, leaderEpoch: -1, metadata: "" };
    await cluster.commitOffsets(own, [{ ...at, offset: 3n }]);
    const deps = { ...engine, clock: systemClock, logger: silentLogger, newId: randomId };
    const asked = { groups: { groups: [own] }, description: "" };
    const { snapshot_id } = await takeSnapshot(deps, asked);
    await cluster.commitOffsets(own, [{ ...at, offset: 7n }]);
    const run = (more: object = {}) => machine("offset-rollback").run({ snapshot_id, ...more });
    await expectDone(await run({ dry_run: true }), { status: "dry_run" });
    const failed = await whileBroken(aws, stackName, ["rollback-offsets"], () => run());
    await expectFailed(failed, broken, "RollbackOffsets", "RollbackFailed");
    await expectDone(await run());
    const { groups } = await cluster.committedOffsets([own]);
    expect(groups[0]!.offsets).toMatchObject([{ offset: 3n }]);
    const wrong = await machine("offset-rollback").run({ snapshot_id: "no-such" });
    await expectFailed(wrong, "SnapshotNotFoundError", "SnapshotOffsets", "RollbackFailed");
  }, 180_000);
});

describe("three-phase-restore", () => {
  const threePhase = () => machine("three-phase-restore");

  function inputFor(target: string, more: object = {}) {
    return {
      ...{ backup_id: engine.backupId, topics: { include: [topics[0]!] } },
      ...{ topic_mapping: { [topics[0]!]: target }, consumer_groups: [group], ...more },
    };
  }

  const toFailed = ["FailThreePhase", "ThreePhaseFailed"];
  const toReset = ["UndoOffsetReset", "IsUndone", "ResetFailed"];

  test.each([
    [["check-three-phase"], broken, ["CheckThreePhase", "CheckFailed"]],
    [["prepare-three-phase"], broken, ["PrepareThreePhase", ...toFailed]],
    [["prepare-three-phase", "fail-three-phase"], broken, ["FailThreePhase", "FailureNotTold"]],
    [["plan-restore"], broken, ["Restore", ...toFailed]],
    [["plan-offset-reset"], broken, ["PlanOffsetReset", ...toReset]],
    [["reset-offsets"], "OffsetResetFailedError", ["ResetOffsets", ...toReset]],
    [
      ["reset-offsets", "undo-offset-reset"],
      "OffsetResetFailedError",
      ["UndoOffsetReset", "FailUndo", "ThreePhaseFailed"],
    ],
    [["reset-offsets", "undo-offset-reset", "fail-three-phase"], broken, notTold()],
  ])(
    "without %j fails by name with no group touched, and is continued",
    async (names, error, states) => {
      const target = randomName("restored");
      const input = inputFor(target);
      const ended = await whileBroken(aws, stackName, names, () => threePhase().run(input));
      await expectFailed(ended, error, ...states);
      expect(await standing(target)).toBeUndefined();
      if (states.includes("FailureNotTold")) await freeLease(restores());
      await expectDone(await threePhase().run(input));
      expect(await standing(target)).toBe(2n);
    },
    180_000,
  );

  function notTold(): string[] {
    return ["UndoOffsetReset", "FailUndo", "FailureNotTold"];
  }

  test("is told by a dry run, and begins with a backup, which may fail", async () => {
    const target = randomName("restored");
    await expectDone(await threePhase().run(inputFor(target, { dry_run: true })), {
      status: "dry_run",
    });
    const input = inputFor(target, { backup_first: true });
    const run = () => threePhase().run(input);
    const failed = await whileBroken(aws, stackName, ["plan-backup"], run);
    await expectFailed(failed, broken, "BackUpFirst", ...toFailed);
    await expectDone(await run(), { status: "done", backup_first: { record_count: 0 } });
    await expectDone(await run(), { status: "already_done" });
  }, 180_000);

  test("only recommends where that is asked, and sets nothing where records are missing", async () => {
    const target = randomName("restored");
    const manual = inputFor(target, { consumer_group_strategy: "manual" });
    await expectDone(await threePhase().run(manual), { status: "done", outcome: "recommended" });
    expect(await standing(target)).toBeUndefined();

    const segment = await segmentOf(topics[0]!);
    const bytes = await storage.get(segment);
    const damaged = Buffer.from(bytes);
    damaged[40]! ^= 1;
    await storage.put(segment, damaged);
    const other = randomName("restored");
    const input = {
      ...inputFor(other),
      topics: { include: topics.slice(0, 2) },
      topic_mapping: { [topics[0]!]: other, [topics[1]!]: randomName("restored") },
    };
    try {
      const ended = await threePhase().run(input);
      await expectDone(ended, {
        status: "incomplete",
        restore: {
          status: "incomplete",
          failed: { count: 1, first: [{ topic: other, error: "CorruptSegmentError" }] },
        },
      });
      expect(await standing(other)).toBeUndefined();
    } finally {
      await storage.put(segment, bytes);
    }
    await expectDone(await threePhase().run(input), { status: "done", resumed: true });
    expect(await standing(other)).toBe(2n);
  }, 180_000);

  async function segmentOf(topic: string): Promise<string> {
    const found = await collect(storage.list(inBackup(engine.backupId, `topics/${topic}/`)));
    return found.find(({ key }) => !key.endsWith(".index"))!.key;
  }

  /** An execution that waits for its approval, and what it asked. */
  async function asked(target: string) {
    const execution = await threePhase().start(inputFor(target, { approval: true }));
    return { execution, question: await questionOf(storage, engine.backupId, execution) };
  }

  test.each([
    ["resume-three-phase", { decision: "approve" }, "ResumeThreePhase"],
    ["reject-reset", { decision: "reject" }, "RejectReset"],
  ])(
    "without %s fails by name after the answer, and asks again",
    async (name, given, state) => {
      const target = randomName("restored");
      const { execution, question } = await asked(target);
      const ended = await whileBroken(aws, stackName, [name], async () => {
        await answer(aws, question, given);
        return threePhase().ended(execution);
      });
      await expectFailed(ended, broken, state, ...toFailed);
      expect(await standing(target)).toBeUndefined();
      const again = await asked(target);
      await answer(aws, again.question, { decision: "approve" });
      await expectDone(await threePhase().ended(again.execution));
      expect(await standing(target)).toBe(2n);
    },
    180_000,
  );

  test.each([
    [{ decision: "reject" }, { status: "rejected" }],
    [{ error: "States.Timeout" }, { status: "approval_expired" }],
  ])(
    "answered by %j touches no group",
    async (given, output) => {
      const target = randomName("restored");
      const { execution, question } = await asked(target);
      await answer(aws, question, given);
      await expectDone(await threePhase().ended(execution), output);
      expect(await standing(target)).toBeUndefined();
      await expectDone(await threePhase().run(inputFor(target)));
    },
    180_000,
  );

  test("whose question fails ends by that name", async () => {
    const target = randomName("restored");
    const { execution, question } = await asked(target);
    await answer(aws, question, { error: "Approver.Broken" });
    const ended = await threePhase().ended(execution);
    await expectFailed(ended, "Approver.Broken", "RequestApproval", ...toFailed);
    await expectDone(await threePhase().run(inputFor(target)));
  }, 120_000);

  test("asks also where nobody can be told, and is done already where another was faster", async () => {
    await deleteTopic(topicArn);
    const target = randomName("restored");
    const { execution, question } = await asked(target);
    const faster = await threePhase().run(inputFor(target));
    await expectDone(faster);
    await answer(aws, question, { decision: "approve" });
    await expectDone(await threePhase().ended(execution), { status: "already_done" });
    expect(await threePhase().inputOf(execution, "RequestApproval")).toMatchObject({
      notified: { Error: expect.any(String) },
    });
  }, 180_000);

  test("whose lease is taken over before offsets are set touches no group, and says so", async () => {
    const target = randomName("restored");
    const gate = await gateFunction(aws, stackName, "reset-offsets");
    try {
      const execution = await threePhase().start(inputFor(target));
      await gate.arrived;
      const holder = await takeOver(storage, restores());
      gate.open();
      const ended = await threePhase().ended(execution);
      await expectFailed(ended, "BackupConflictError", "UndoOffsetReset", ...toFailed);
      expect(await standing(target)).toBeUndefined();
      expect(await leaseHolder(storage, restores())).toEqual(holder);
    } finally {
      await gate.remove();
    }
    await freeLease(restores());
    await expectDone(await threePhase().run(inputFor(target)), { status: "done", resumed: true });
  }, 180_000);

  test("whose reset was done, and only its answer lost, is done", async () => {
    const target = randomName("restored");
    const gate = await gateFunction(aws, stackName, "reset-offsets");
    try {
      const execution = await threePhase().start(inputFor(target));
      await gate.arrived;
      const { run } = (await threePhase().inputOf(execution, "ResetOffsets")) as { run: object };
      await resetRun(threePhaseDeps(storage, cluster), plannedRun.parse(run), noDeadline);
      await killFunction(stackName, "reset-offsets");
      await expectDone(await threePhase().ended(execution));
      const states = await threePhase().statesOf(execution);
      expect(states.slice(-3)).toEqual(["UndoOffsetReset", "IsUndone", "ResetAnswered"]);
    } finally {
      await gate.remove();
    }
    expect(await standing(target)).toBe(2n);
  }, 180_000);
});

async function alarmTopicArn(): Promise<string> {
  const listed = await snsCall("Action=ListTopics");
  const arns = [...listed.matchAll(/<TopicArn>([^<]+)<\/TopicArn>/g)].map(([, arn]) => arn!);
  return arns.find((arn) => arn.includes(stackName))!;
}

async function deleteTopic(arn: string): Promise<void> {
  await snsCall(`Action=DeleteTopic&TopicArn=${encodeURIComponent(arn)}`);
}

/** SNS answers in XML. */
async function snsCall(query: string): Promise<string> {
  const path = `/?${query}&Version=2010-03-31`;
  return String(await emulatorCall(aws, "sns", { method: "GET", path }));
}

test("each branch of each machine was taken", async () => {
  for (const { name } of deployedMachines) {
    const definition = definitionOf(name);
    const map = Object.values(definition.States).find(({ Type }) => Type === "Map");
    const taken = new Set<string>();
    for (const arn of await machine(name).executions()) {
      const add = (branches: string[]) => {
        for (const one of branches) taken.add(one);
      };
      add(branchesTaken(definition, await machine(name).historyOf(arn)));
      if (map === undefined) continue;
      const children = (await machine(name).childrenOf(arn)) as TaskEnd[][];
      for (const tasks of children) add(branchesOfChild(map.ItemProcessor!, tasks));
    }
    const missing = branchesOf(definition).filter((one) => !taken.has(one));
    expect(missing, name).toEqual([]);
  }
}, 120_000);

function definitionOf(name: string): Machine {
  const file = join(import.meta.dirname, `../../../statemachines/${name}.asl.json`);
  return JSON.parse(readFileSync(file, "utf8"));
}
