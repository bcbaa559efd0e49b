import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { machines } from "#cdk/machines/all.ts";
import { pascalCase } from "#cdk/names.ts";
import { copyNativePackages } from "#cdk/native-packages.ts";
import { readSettings } from "#cdk/settings.ts";
import { readJson } from "#test/cdk/synthesis.ts";

const root = join(import.meta.dirname, "../..");
const { context } = readJson(join(root, "cdk.json")) as { context: Record<string, string> };
let outdir: string;

beforeAll(async () => {
  outdir = await mkdtemp(join(tmpdir(), "kafka-backup-app-"));
});
afterAll(() => rm(outdir, { recursive: true, force: true }));

/** As the CDK's command line calls the app, without an account or a region. */
async function synthesizeApp(
  more: Record<string, string>,
  environment: Record<string, string> = {},
): Promise<string> {
  const ofAws = Object.keys(process.env).filter((name) => /^(AWS|CDK)_/.test(name));
  const env = {
    ...process.env,
    ...Object.fromEntries(ofAws.map((name) => [name, undefined])),
    CDK_OUTDIR: outdir,
    CDK_CONTEXT_JSON: JSON.stringify({ ...context, ...more }),
    ...environment,
  };
  await promisify(execFile)(process.execPath, ["cdk/app.ts"], { cwd: root, env });
  return JSON.stringify(readJson(join(outdir, `${more.stack}.template.json`)));
}

describe("cdk synth", () => {
  test("needs no account, and puts the functions that read from Kafka where it is told to", async () => {
    const secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:kafka-AbCdEf";
    const template = await synthesizeApp({
      stack: "Elsewhere",
      vpc_id: "vpc-0a1b",
      subnet_ids: "subnet-1,subnet-2",
      security_group_ids: "sg-1",
    }).then(JSON.parse);
    const functions = Object.values<{ Type: string; Properties: { VpcConfig?: object } }>(
      template.Resources,
    ).filter(({ Type }) => Type === "AWS::Lambda::Function");
    const networks = functions.flatMap(({ Properties }) => Properties.VpcConfig ?? []);
    const network = { SubnetIds: ["subnet-1", "subnet-2"], SecurityGroupIds: ["sg-1"] };
    expect(networks.length).toBeGreaterThanOrEqual(2);
    expect(networks).toEqual(networks.map(() => network));
    const outputsOfMachines = machines.map(({ name }) => `${pascalCase(name)}StateMachineArn`);
    expect(Object.keys(template.Outputs)).toEqual([
      ...outputsOfMachines,
      ...["BucketName", "BucketKeyArn", "TableName", "AlarmTopicArn"],
    ]);
    const schedules = Object.values<{ Type: string }>(template.Resources).filter(
      ({ Type }) => Type === "AWS::Scheduler::Schedule",
    );
    // That of the checkout's example.
    expect(schedules).toHaveLength(1);
    // The example's cluster wants no login: a secret is refused by name.
    await expect(synthesizeApp({ stack: "WithLogin", secret_arn })).rejects.toThrow(
      /the secret with the login of source: does nothing without/,
    );
  }, 180_000);

  test("needs no npm once the packages with machine code for arm64 are installed", async () => {
    const modules = join(outdir, "installed");
    copyNativePackages("linux-arm64", modules);
    const withoutNpm = { PATH: modules };
    const npm = promisify(execFile)("npm", ["--version"], { env: withoutNpm });
    await expect(npm).rejects.toMatchObject({ code: "ENOENT" });
    const template = await synthesizeApp({ stack: "Offline" }, withoutNpm).then(JSON.parse);
    const types = Object.values<{ Type: string }>(template.Resources).map(({ Type }) => Type);
    expect(types).toContain("AWS::Lambda::Function");
  }, 180_000);
});

describe("what the command line says by -c", () => {
  const read = (given: Record<string, unknown>) => readSettings((name) => given[name]);

  test("has defaults for all but the configuration", () => {
    expect(read({ config: "backup.yaml" })).toEqual({
      config: "backup.yaml",
      stack: "KafkaBackup",
      stage: "aws",
      encryption: "kms",
    });
    expect(() => read({})).toThrow(/config: /);
  });

  test("is taken apart", () => {
    const given = { object_lock: "compliance:35", worker_memory_mb: "3008" };
    expect(read({ config: "backup.yaml", ...given })).toMatchObject({
      object_lock: { mode: "compliance", days: 35 },
      worker_memory_mb: 3_008,
    });
  });

  test.each([
    [{ max_concurrency: "many" }, /max_concurrency: /],
    [{ max_concurrency: "0" }, /max_concurrency: /],
    [{ encryption: "none" }, /encryption: /],
    [{ secret_arn: "my-secret" }, /secret_arn: /],
    [{ worker_memory_mb: "512" }, /worker_memory_mb: /],
    [{ reserved_concurrency: "0" }, /reserved_concurrency: /],
    [{ object_lock: "30" }, /object_lock: must be governance:DAYS/],
    [{ object_lock: "governance:0" }, /object_lock: must be/],
    [{ alarm_email: "me" }, /alarm_email: /],
    [{ runbook: "wiki" }, /runbook: /],
    [{ cluster_arn: "arn:aws:kafka:eu-central-1:1:cluster/a/b" }, /cluster_arn: must be arn:aws/],
    [{ vpc_id: "vpc-1" }, /subnet_ids: is needed/],
    [{ subnet_ids: "subnet-1", security_group_ids: "sg-1" }, /vpc_id: is needed/],
    [{ vpc_id: "vpc-1", subnet_ids: "subnet-1 sg", security_group_ids: "sg-1" }, /subnet_ids/],
  ])("%j is refused by name", (given, message) => {
    expect(() => read({ config: "backup.yaml", ...given })).toThrow(message);
  });
});
