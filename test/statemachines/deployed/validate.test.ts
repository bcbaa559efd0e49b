/**
 * The validate machine as `cdk deploy` makes it, in the emulator, on a backup of a real Kafka by
 * the backup machine. What it finds is what `kafka-backup validate` finds in the same bucket.
 */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseDocument } from "#core/catalog/documents.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import { validationReportKey } from "#core/storage/validation-keys.ts";
import type { ValidationReport } from "#core/validate/finish.ts";
import { type StoredReport, storedReport } from "#core/validate/steps/report.ts";
import { deployAwsStage } from "#local/aws-stage.ts";
import { appendNumbered } from "#test/support/append.ts";
import { storageIn } from "#test/support/bucket.ts";
import { collect } from "#test/support/collect.ts";
import { gateFunction } from "#test/support/function-faults.ts";
import { metricsOf, unitsOf } from "#test/support/function-metrics.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { invokeFunction } from "#test/support/lambda.ts";
import { s3ForTests } from "#test/support/s3.ts";
import { type Ended, TestStateMachine } from "#test/support/state-machine.ts";

const aws = s3ForTests();
const bucket = randomName("bucket");
const stackName = "KafkaBackupValidate";
const backupId = randomName("validated");

const partitionCount = 3;
/** Batches of 60 KB, so that a segment holds two of them: 25 segments a partition. */
const records = { from: 0, count: 150, perBatch: 3, valueBytes: 20_000 };

let machine: TestStateMachine;
let cluster: Cluster;
let storage: StorageBackend;

beforeAll(async () => {
  const { bootstrapServers } = kafkaForTests();
  const backup = { segment_max_bytes: "64KiB" };
  const options = { bootstrapServers, bucket, stackName, topics: ["no-such-topic"], backup };
  const deploying = deployAwsStage(aws, options);
  cluster = await connectForTests();
  const topic = await createTopic(cluster, { partitionCount });
  for (let partition = 0; partition < partitionCount; partition++) {
    await appendNumbered(cluster, { topic, partition, ...records });
  }
  const { stateMachines } = await deploying;
  machine = new TestStateMachine(aws, stateMachines.validate!);
  storage = await storageIn(bucket);
  const backups = new TestStateMachine(aws, stateMachines.backup!);
  const input = { backup_id: backupId, topics: { include: [topic] } };
  for (const generation of [1, 2]) {
    const ended = await backups.run(input);
    expect(ended).toMatchObject({ status: "SUCCEEDED", output: { generation } });
    await appendNumbered(cluster, { topic, from: records.count, count: 9 });
  }
  backups.close();
}, 300_000);

afterAll(async () => {
  machine?.close();
  await storage?.close();
  await cluster?.disconnect();
});

/** The command line on the same bucket, as a process; it exits 13 where there is damage. */
async function byCommandLine(...args: string[]): Promise<ValidationReport> {
  const where = ["--path", `s3://${bucket}?endpoint=${aws.endpoint}`, "--backup-id", backupId];
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: aws.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.secretAccessKey,
  };
  const command = ["bin/kafka-backup", "validate", ...where, "--format", "json", ...args];
  const told = await promisify(execFile)(process.execPath, command, { env }).catch(
    (error: { code: number; stdout: string }) => {
      expect(error.code).toBe(13);
      return error;
    },
  );
  return JSON.parse(told.stdout);
}

async function readReport(validationId: unknown): Promise<StoredReport> {
  const of = { backup_id: backupId, validation_id: String(validationId) };
  const key = validationReportKey(of);
  return parseDocument(key, await storage.get(key), storedReport);
}

/** A failed execution names its report in the cause. */
async function reportNamedIn({ message }: Ended): Promise<StoredReport> {
  const [, id] = /validations\/([\w-]+)\.json/.exec(message) ?? [];
  return readReport(id);
}

/** As numbers and texts; side by side, segments are looked at in any order. */
function comparable(report: ValidationReport | StoredReport): object {
  const { findings, backup_id, level, generation, checked, orphans, counts, left_out } = report;
  return {
    ...{ backup_id, level, generation, checked, orphans, counts, left_out },
    status: report.status,
    findings: findings
      .map(({ offset, ...one }) => JSON.stringify({ ...one, offset: offset?.toString() }))
      .sort(),
  };
}

async function keysBelow(folder: string): Promise<string[]> {
  return (await collect(storage.list(inBackup(backupId, folder)))).map(({ key }) => key);
}

describe("an intact backup", () => {
  test("is sound at the shallow level, told by a few numbers", async () => {
    const ended = await machine.run({ backup_id: backupId });
    expect(ended).toMatchObject({
      status: "SUCCEEDED",
      output: { status: "sound", level: "shallow", generation: 2, findings: { count: 0 } },
    });
    expect(ended.output.report).toBe(
      `s3://${bucket}/${backupId}/validations/${ended.output.validation_id}.json`,
    );
    const report = await readReport(ended.output.validation_id);
    expect(comparable(report)).toEqual(comparable(await byCommandLine()));
    expect(report.checked.segments).toBeGreaterThan(70);
    expect(JSON.stringify(ended.output).length).toBeLessThan(1_000);
    expect(await machine.statesOf(ended.arn)).toEqual([
      ...["BeginValidation", "IsPlanned", "ValidateWorkItems", "FinishValidation"],
      ...["IsSound", "BackupIsSound"],
    ]);
  });

  test("is sound at the deep level, in many turns of several workers", async () => {
    const ended = await machine.run({ backup_id: backupId, level: "deep", turn_ms: 1 });
    expect(ended).toMatchObject({ status: "SUCCEEDED", output: { status: "sound" } });
    const report = await readReport(ended.output.validation_id);
    expect(comparable(report)).toEqual(comparable(await byCommandLine("--deep")));
    expect(report.checked).toMatchObject({ runs: 2, records: partitionCount * records.count + 9 });
    expect(await machine.statesOf(ended.arn)).toContain("PlanValidation");
    const children = await machine.childrenOf(ended.arn);
    expect(children.length).toBeGreaterThanOrEqual(4);
    const turns = children.flat();
    expect(turns.length).toBeGreaterThan(2 * children.length);
    expect(Math.max(...turns.map((turn) => JSON.stringify(turn).length))).toBeLessThan(200);
    expect(await keysBelow("state/validations/")).toEqual([]);
  });
});

describe("I1 a damaged backup fails the execution by name, with the command line's findings", () => {
  /** Does it while the object is other bytes, or gone, and puts it back. */
  async function whileDamaged<T>(
    key: string,
    edit: (body: Buffer) => Buffer | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const body = await storage.get(key);
    const damaged = edit(Buffer.from(body));
    await (damaged === undefined ? storage.delete([key]) : storage.put(key, damaged));
    try {
      return await work();
    } finally {
      await storage.put(key, body);
    }
  }

  function withFlippedByte(body: Buffer): Buffer {
    body[body.length >> 1]! ^= 1;
    return body;
  }

  const oneSegment = async () => (await keysBelow("topics/")).find((key) => key.endsWith(".zst"))!;
  const oneManifest = async () => inBackup(backupId, "manifests/00000001.json");

  test.each([
    ["a flipped byte", "deep", oneSegment, withFlippedByte, "frame_damaged"],
    ["a lost segment", "shallow", oneSegment, () => undefined, "segment_missing"],
    ["a lost manifest", "shallow", oneManifest, () => undefined, "manifest_missing"],
  ] as const)("%s at the %s level", async (_, level, find, edit, code) => {
    const flag = level === "deep" ? ["--deep"] : [];
    const [ended, expected] = await whileDamaged(await find(), edit, async () => [
      await machine.run({ backup_id: backupId, level }),
      await byCommandLine(...flag),
    ]);
    expect(ended).toMatchObject({ status: "FAILED", error: "BackupDamagedError" });
    expect(ended.message).toContain(code);
    expect(comparable(await reportNamedIn(ended))).toEqual(comparable(expected));
    expect(expected.status).toBe("damaged");
    expect((await machine.statesOf(ended.arn)).slice(-2)).toEqual(["IsSound", "ValidationFailed"]);
  });
});

test("metrics tell how much was validated, and of what was found", async () => {
  const ended = await metricsOf(aws, stackName, "ValidationFindings");
  expect(ended[0]).toMatchObject({
    ...{ backup_id: backupId, ValidationFindings: 0, ValidationWarnings: 0, SegmentsUnchecked: 0 },
    ...{ SegmentsChecked: expect.any(Number), ValidationDuration: expect.any(Number) },
  });
  expect(ended.some(({ ValidationFindings }) => Number(ValidationFindings) > 0)).toBe(true);
  expect(unitsOf(ended[0]!)).toEqual({
    ...{ ValidationFindings: "Count", ValidationWarnings: "Count" },
    ...{ SegmentsChecked: "Count", SegmentsUnchecked: "Count" },
    ValidationDuration: "Milliseconds",
  });
  const turns = await metricsOf(aws, stackName, "RecordsValidated");
  const sumOf = (name: string) => turns.reduce((sum, turn) => sum + Number(turn[name]), 0);
  expect(sumOf("RecordsValidated")).toBeGreaterThan(0);
  expect(sumOf("BytesValidated")).toBeGreaterThan(sumOf("RecordsValidated"));
  expect(unitsOf(turns[0]!)).toEqual({ RecordsValidated: "Count", BytesValidated: "Bytes" });
});

describe("input", () => {
  test.each([
    [{ backup_id: "a b" }, "InvalidRequestError", /^backup_id: must be/],
    [{ level: "deeper" }, "InvalidRequestError", /^level: /],
    [{ deep: true }, "InvalidRequestError", /"deep"/],
    [{ turn_ms: 0 }, "InvalidRequestError", /^turn_ms: /],
    [{ backup_id: "nobody-s" }, "BackupNotFoundError", /has the id "nobody-s"/],
    [{}, "BackupNotFoundError", /has the id "kafkabackupvalidate"/],
  ])("%j fails at once and says why", async (input, error, message) => {
    const ended = await machine.run(input);
    expect(ended).toMatchObject({ status: "FAILED", error });
    expect(ended.message).toMatch(message);
    expect(await machine.statesOf(ended.arn)).toEqual(["BeginValidation", "BeginningFailed"]);
  });
});

describe("workers that fail", () => {
  test("leave their segments unchecked, and the backup is not called sound", async () => {
    const invoke = (name: string, event: object) => invokeFunction(aws, stackName, name, event);
    const { validation, plan } = (await invoke("begin-validation", { backup_id: backupId })) as {
      validation: object;
      plan: { items: { key: string } };
    };
    const items: object[] = JSON.parse((await storage.get(plan.items.key)).toString());
    const failure = { Error: "Runtime.ExitError", Cause: '{"errorMessage":"signal: killed"}' };
    for (const item of items) await invoke("fail-segments", { validation, item, failure });
    const result = await invoke("finish-validation", { validation });
    expect(result).toMatchObject({ status: "incomplete", failure: { Error: "Runtime.ExitError" } });
    const { Cause } = result.failure as { Cause: string };
    expect(Cause).toMatch(/\d+ segments were not checked.*signal: killed/);
    expect(await invoke("finish-validation", { validation })).toEqual(result);
  });

  test("and whose failure cannot be written down end the execution", async () => {
    const gate = await gateFunction(aws, stackName, "validate-segments");
    try {
      const execution = await machine.start({ backup_id: backupId, level: "deep" });
      await gate.arrived;
      const documents = await keysBelow("state/validations/");
      await storage.delete(documents.filter((key) => key.includes("/items/")));
      gate.open();
      const ended = await machine.ended(execution);
      const error = "States.ExceedToleratedFailureThreshold";
      expect(ended).toMatchObject({ status: "FAILED", error });
      expect(await machine.statesOf(ended.arn)).toContain("ValidationFailed");
      const failures = (await machine.childrenOf(ended.arn)).flat();
      expect(failures).toContainEqual({ error: "ObjectNotFoundError" });
    } finally {
      await gate.remove();
    }
  });
});
