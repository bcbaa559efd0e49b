/** What a deployment is asked for beyond the plain one: IAM at the cluster, locks, capacity. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validations } from "aws-cdk-lib";
import { Bucket } from "aws-cdk-lib/aws-s3";
import { AwsSolutionsChecks } from "cdk-nag";
import { afterAll, describe, expect, test } from "vitest";
import { machines } from "#cdk/machines/all.ts";
import { pascalCase } from "#cdk/names.ts";
import { type Synthesis, statementsByRole, synthesize } from "#test/cdk/synthesis.ts";

const folder = mkdtempSync(join(tmpdir(), "kafka-backup-access-"));
const made: Synthesis[] = [];
afterAll(() => {
  for (const { remove } of made) remove();
  rmSync(folder, { recursive: true });
});

function synthesized(...args: Parameters<typeof synthesize>): Synthesis {
  const one = synthesize(...args);
  made.push(one);
  return one;
}

const storage = { backend: "s3", bucket: "example-bucket" };
const ofMsk = (name: string) => ({
  bootstrap_servers: `b-1.${name}.abc123.c2.kafka.eu-central-1.amazonaws.com:9098`,
  ...{ security_protocol: "SASL_SSL", sasl_mechanism: "AWS_MSK_IAM" },
});

function written(name: string, config: object): string {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify({ backup_id: "orders", storage, ...config }));
  return file;
}

const topics = { include: ["*"] };
const configFile = written("backup.json", {
  ...{ mode: "backup", source: { ...ofMsk("live"), topics } },
});
const restoreConfigFile = written("restore.json", { mode: "restore", target: ofMsk("spare") });
const arnOf = (kind: string, name: string, rest = "") =>
  `arn:aws:kafka:eu-central-1:111122223333:${kind}/${name}/0a1b-2c3d${rest}`;

describe("S6 AWS_MSK_IAM", () => {
  const withIam = synthesized(
    () => ({
      ...{ configFile, restoreConfigFile },
      clusterArn: arnOf("cluster", "live"),
      targetClusterArn: arnOf("cluster", "spare"),
    }),
    (app) => Validations.of(app).addPlugins(new AwsSolutionsChecks(app)),
  );
  const roles = statementsByRole(withIam.template);
  const kafkaActions = (role: string) =>
    (roles[role] ?? []).flatMap(({ actions, resources }) =>
      actions
        .filter((action) => action.startsWith("kafka-cluster:"))
        .flatMap((action) => resources.map((on) => `${action.slice(14)} ${on}`)),
    );

  test("a worker of backups may read the cluster's topics, and write nothing", () => {
    expect(kafkaActions("BackupPartition")).toEqual([
      `Connect ${arnOf("cluster", "live")}`,
      `DescribeCluster ${arnOf("cluster", "live")}`,
      `DescribeTopic ${arnOf("topic", "live", "/*")}`,
      `DescribeTopicDynamicConfiguration ${arnOf("topic", "live", "/*")}`,
      `ReadData ${arnOf("topic", "live", "/*")}`,
    ]);
  });

  test("the plan of a backup may also see where groups stand", () => {
    expect(kafkaActions("PlanBackup")).toEqual([
      ...kafkaActions("BackupPartition"),
      `DescribeGroup ${arnOf("group", "live", "/*")}`,
    ]);
  });

  test("none may write where it only reads, or come to a cluster that it does not talk to", () => {
    const functions = machines.flatMap((machine) => Object.entries(machine.functions));
    for (const [name, { cluster, kafka = [] }] of functions) {
      const actions = kafkaActions(pascalCase(name));
      const writes = actions.filter((action) => /^(Write|Alter|Create|Delete)/.test(action));
      const mayWrite = kafka.some((use) => !use.startsWith("read-"));
      expect([name, writes.length > 0]).toEqual([name, mayWrite]);
      expect([name, kafka.length > 0]).toEqual([name, cluster !== undefined]);
      const others = { source: /spare/, target: /live/, both: /^$/ }[cluster ?? "both"];
      expect(actions.filter((action) => others.test(action))).toEqual([]);
    }
  });

  test("is granted to functions alone, and no more of it than there is", () => {
    const names = machines.flatMap(({ functions }) => Object.keys(functions).map(pascalCase));
    const granted = Object.keys(roles).filter((role) => kafkaActions(role).length > 0);
    expect(granted.filter((role) => !names.includes(role))).toEqual([]);
    expect(granted.flatMap(kafkaActions).filter((action) => /^\*/.test(action))).toEqual([]);
  });

  test.each([
    [{ configFile }, /backup\.json source\.sasl_mechanism: AWS_MSK_IAM needs the cluster's ARN/],
    [
      { configFile, restoreConfigFile, clusterArn: arnOf("cluster", "live") },
      /restore\.json target\.sasl_mechanism: AWS_MSK_IAM needs the cluster's ARN/,
    ],
    [{ clusterArn: arnOf("cluster", "live") }, /is not AWS_MSK_IAM, without which/],
  ])("goes with the cluster's ARN, and the ARN with it: %#", (props, message) => {
    expect(() => synthesize(() => props)).toThrow(message);
  });
});

describe("S7 Object Lock", () => {
  test.each([
    ["governance", "GOVERNANCE"],
    ["compliance", "COMPLIANCE"],
  ] as const)("keeps every version for its days, in mode %s", (mode, Mode) => {
    const { template } = synthesized(() => ({ objectLock: { mode, days: 35 } }));
    template.hasResourceProperties("AWS::S3::Bucket", {
      VersioningConfiguration: { Status: "Enabled" },
      ObjectLockEnabled: true,
      ObjectLockConfiguration: {
        ObjectLockEnabled: "Enabled",
        Rule: { DefaultRetention: { Mode, Days: 35 } },
      },
    });
  });

  test("is not there unless asked for, and is not put on a bucket that was there before", () => {
    const plain = synthesized();
    const [bucket] = Object.values(plain.template.findResources("AWS::S3::Bucket"));
    expect(JSON.stringify(bucket)).not.toContain("ObjectLock");
    const objectLock = { mode: "governance", days: 1 } as const;
    const existing = (scope: Parameters<typeof Bucket.fromBucketName>[0]) =>
      Bucket.fromBucketName(scope, "Own", "example-kafka-backups");
    expect(() => synthesize((stack) => ({ bucket: existing(stack), objectLock }))).toThrow(
      /object lock: is for a new bucket/,
    );
  });
});

describe("workers", () => {
  const workers = machines.flatMap(({ functions }) =>
    Object.entries(functions).flatMap(([name, { isWorker }]) => (isWorker ? [name] : [])),
  );

  test("have the memory and the share of the account's concurrency that is asked for", () => {
    const { template } = synthesized(() => ({ workerMemoryMb: 3_008, reservedConcurrency: 60 }));
    const functions = Object.values(template.findResources("AWS::Lambda::Function"));
    const reserved = functions.filter(
      ({ Properties }) => Properties.ReservedConcurrentExecutions === 60,
    );
    const handlers = reserved.map(({ Properties }) => {
      expect(Properties.MemorySize).toBe(3_008);
      return Properties.Handler;
    });
    expect(handlers.toSorted()).toEqual(workers.map((name) => `${name}.handler`).sort());
  });

  test("are not kept below what the machines run at a time: the rest would be refused", () => {
    expect(() => synthesize(() => ({ maxConcurrency: 50, reservedConcurrency: 49 }))).toThrow(
      /reserved concurrency: 49 is less than the 50 workers of backup/,
    );
  });
});
