import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type App, type Stack, Validations } from "aws-cdk-lib";
import { Match } from "aws-cdk-lib/assertions";
import { Bucket } from "aws-cdk-lib/aws-s3";
import { AwsSolutionsChecks } from "cdk-nag";
import { afterAll, describe, expect, test } from "vitest";
import { functionNames } from "#cdk/function-code.ts";
import type { KafkaBackupProps } from "#cdk/kafka-backup.ts";
import { machines } from "#cdk/machines/all.ts";
import { pascalCase } from "#cdk/names.ts";
import { tableAttributes } from "#core/catalog/table.ts";
import {
  fullProps,
  readJson,
  type Statement,
  type Synthesis,
  statementsByRole,
  synthesize,
} from "#test/cdk/synthesis.ts";

const made: Synthesis[] = [];
afterAll(() => {
  for (const { remove } of made) remove();
});

/** Bundles the functions, which takes a second. */
function synthesized(...args: Parameters<typeof synthesize>): Synthesis {
  const one = synthesize(...args);
  made.push(one);
  return one;
}

const plain = synthesized();
/** All that can be asked for of a plain cluster. */
const full = synthesized(fullProps);

test("the catalogue's table has the keys that the catalogue asks for, and stays", () => {
  const { partitionKey, sortKey, timeToLive } = tableAttributes;
  plain.template.hasResource("AWS::DynamoDB::Table", {
    DeletionPolicy: "Retain",
    Properties: {
      KeySchema: [
        { AttributeName: partitionKey, KeyType: "HASH" },
        { AttributeName: sortKey, KeyType: "RANGE" },
      ],
      TimeToLiveSpecification: { AttributeName: timeToLive, Enabled: true },
      BillingMode: "PAY_PER_REQUEST",
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
    },
  });
});

describe("S7 the bucket", () => {
  test("takes nothing but TLS, keeps versions, is private and stays when the stack goes", () => {
    plain.template.hasResource("AWS::S3::Bucket", {
      DeletionPolicy: "Retain",
      Properties: {
        BucketName: "example-kafka-backups",
        VersioningConfiguration: { Status: "Enabled" },
        PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
      },
    });
    plain.template.hasResourceProperties("AWS::S3::BucketPolicy", {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Effect: "Deny",
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          }),
        ]),
      },
    });
  });

  test("is encrypted by a key of its own that turns, and is asked for rarely", () => {
    const [key, ...others] = bucketKeys(plain);
    expect(others).toEqual([]);
    plain.template.hasResource("AWS::KMS::Key", {
      DeletionPolicy: "Retain",
      Properties: { EnableKeyRotation: true, KeyPolicy: ofTheAccountAlone },
    });
    plain.template.hasResourceProperties("AWS::S3::Bucket", {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          {
            BucketKeyEnabled: true,
            ServerSideEncryptionByDefault: {
              SSEAlgorithm: "aws:kms",
              KMSMasterKeyID: { "Fn::GetAtt": [key, "Arn"] },
            },
          },
        ],
      },
    });
  });

  test("has a key that every role with objects may use, to write with only those who write", () => {
    const may = (action: string, each: readonly Statement[]) =>
      each.some(({ actions, resources }) => {
        const isOfKey = resources.some((resource) => /BackupsKey/.test(resource));
        return actions.includes(action) && isOfKey;
      });
    for (const [role, each] of Object.entries(statementsByRole(plain.template))) {
      const does = (action: string) => each.some(({ actions }) => actions.includes(action));
      expect([role, may("kms:Decrypt", each)]).toEqual([role, does("s3:GetObject")]);
      expect([role, may("kms:GenerateDataKey", each)]).toEqual([role, does("s3:PutObject")]);
    }
  });

  test("with s3 is encrypted by S3's own keys, and has none", () => {
    const without = synthesized(() => ({ encryption: "s3" }));
    expect(bucketKeys(without)).toEqual([]);
    without.template.hasResourceProperties("AWS::S3::Bucket", {
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [
          { ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } },
        ],
      },
    });
  });

  test("only of the configured prefix may anything be read or written", () => {
    const objects = Object.values(statementsByRole(full.template))
      .flat()
      .filter(({ actions }) => actions.some((action) => /^s3:\w+Object$/.test(action)))
      .flatMap(({ resources }) => resources);
    expect(objects.filter((resource) => !resource.startsWith("{bucket}/a/b/"))).toEqual([]);
  });

  test("is listed under its prefix only, by all who ask for objects that may not be there", () => {
    const policies = full.template.findResources("AWS::IAM::Policy");
    const statements = Object.values(policies).flatMap(
      ({ Properties }) => Properties.PolicyDocument.Statement,
    );
    const lists = statements.filter(({ Action }) => Action === "s3:ListBucket");
    expect(lists).toHaveLength(functionNames().length);
    for (const { Condition } of lists) {
      // A request for an object has no s3:prefix; with StringLike S3 would answer 403 to it.
      expect(Condition).toEqual({ StringLikeIfExists: { "s3:prefix": "a/b/*" } });
    }
  });

  test("of another name than the configuration's is refused", () => {
    expect(() =>
      synthesize((stack) => ({ bucket: Bucket.fromBucketName(stack, "Own", "another-bucket") })),
    ).toThrow(/storage\.bucket: is example-kafka-backups, but the bucket given is another-bucket/);
  });

  /** Whose policies then say who may use it. */
  const ofTheAccountAlone = {
    Statement: [Match.objectLike({ Action: "kms:*", Principal: { AWS: Match.anyValue() } })],
  };

  /** Besides that of the alarms' topic. */
  const bucketKeys = ({ template }: Synthesis) =>
    Object.keys(template.findResources("AWS::KMS::Key")).filter((id) => id.includes("Backups"));
});

describe("functions", () => {
  test("are arm64 on Lambda's own Node 24, traced, and end before the machine gives them up", () => {
    plain.template.resourceCountIs("AWS::Lambda::Function", functionNames().length);
    plain.template.allResourcesProperties("AWS::Lambda::Function", {
      Runtime: "nodejs24.x",
      Architectures: ["arm64"],
      Timeout: 900,
      TracingConfig: { Mode: "Active" },
    });
  });

  test("those that read from Kafka are in the brokers' network, and the others in none", () => {
    const functions = full.template.findResources("AWS::Lambda::Function", {
      Properties: {
        VpcConfig: { SubnetIds: ["subnet-0a1b2c3d"], SecurityGroupIds: ["sg-0a1b2c3d"] },
      },
    });
    const inNetwork = Object.keys(functions).map(
      (id) => /^KafkaBackup(\w+?)Function/.exec(id)?.[1],
    );
    const talkToKafka = machines.flatMap((machine) =>
      Object.entries(machine.functions).flatMap(([name, { cluster }]) =>
        cluster === undefined ? [] : [pascalCase(name)],
      ),
    );
    expect(inNetwork.toSorted()).toEqual(talkToKafka.sort());
    expect(talkToKafka).toContain("BackupPartition");
  });

  test("without a network are in none, and no role may do anything to one", () => {
    plain.template.allResourcesProperties("AWS::Lambda::Function", { VpcConfig: Match.absent() });
    const actions = ({ template }: Synthesis) =>
      Object.values(statementsByRole(template)).flatMap((each) => each.flatMap((s) => s.actions));
    const ofNetworks = (synthesis: Synthesis) =>
      actions(synthesis).filter((action) => action.startsWith("ec2:"));
    expect(ofNetworks(plain)).toEqual([]);
    expect(ofNetworks(full)).toContain("ec2:CreateNetworkInterface");
  });

  test("the plan knows how many workers the machine runs at a time", () => {
    const workers = ({ template }: Synthesis) => {
      const found = template.findResources("AWS::StepFunctions::StateMachine");
      const [, machine] = Object.entries(found).find(([id]) =>
        id.includes("BackupBackupWorkflow"),
      )!;
      return /"MaxConcurrency\\?":(\d+)/.exec(JSON.stringify(machine).replaceAll("\\", ""))?.[1];
    };
    for (const [synthesis, expected] of [
      [plain, "40"],
      [full, "7"],
    ] as const) {
      expect(workers(synthesis)).toBe(expected);
      synthesis.template.hasResourceProperties("AWS::Lambda::Function", {
        Handler: "plan-backup.handler",
        Environment: { Variables: { KAFKA_BACKUP_WORKERS: expected } },
      });
    }
  });

  test("bring a handler each, machine code for arm64, and the configuration without a login", () => {
    const { codeFolder } = full;
    const files = readdirSync(codeFolder, { recursive: true, encoding: "utf8" });
    for (const name of functionNames()) expect(files).toContain(`${name}.mjs`);
    const machineCode = files.filter((file) => file.endsWith(".node"));
    expect(machineCode).toHaveLength(3);
    for (const file of machineCode) expect(elfMachine(join(codeFolder, file))).toBe(aarch64);
    const config = readJson(join(codeFolder, "backup.json")) as { source: object };
    expect(Object.keys(config.source)).not.toContain("sasl_password");
    // Lambda takes 250 MB; what is smaller starts sooner.
    const bytes = files.reduce((sum, file) => sum + statSync(join(codeFolder, file)).size, 0);
    expect(bytes).toBeLessThan(20 * 1024 * 1024);
  });

  test("each answers wrong input by name, traced as on Lambda", () => {
    const local = synthesized(() => ({ stage: "local" }));
    local.template.allResourcesProperties("AWS::Lambda::Function", { Runtime: "provided.al2023" });
    for (const name of functionNames()) {
      const script = `
        const { handler } = await import(${JSON.stringify(join(local.codeFolder, `${name}.mjs`))});
        const context = { functionName: "f", getRemainingTimeInMillis: () => 900_000 };
        await handler({ nothing: 1 }, context).catch(({ name }) => console.log("threw", name));`;
      const args = ["--input-type=module", "-e", script];
      const printed = execFileSync(process.execPath, args, {
        env: likeLambda,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      });
      expect(printed).toMatch(/^threw InvalidRequestError$/m);
    }
  });

  const likeLambda = {
    ...process.env,
    AWS_REGION: "us-east-1",
    AWS_EXECUTION_ENV: "AWS_Lambda_nodejs24.x",
    AWS_LAMBDA_FUNCTION_NAME: "f",
    LAMBDA_TASK_ROOT: "/var/task",
    AWS_XRAY_DAEMON_ADDRESS: "127.0.0.1:2000",
    _X_AMZN_TRACE_ID: "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
  };

  /** ELF's e_machine, two bytes at 18. */
  const elfMachine = (file: string) => readFileSync(file).readUInt16LE(18);
  const aarch64 = 183;
});

describe("cdk-nag's AwsSolutions", () => {
  test.each([
    ["plain", () => ({})],
    ["with S3's own keys", () => ({ encryption: "s3" as const })],
    ["with all that can be asked for", everything],
  ])("finds nothing that is not acknowledged with its reason, %s", (_, props) => {
    expect(() => synthesized(props, addChecks)).not.toThrow();
  });

  test("would find what is not acknowledged", () => {
    const withOpenBucket = (app: App) => {
      new Bucket(app.node.findChild("Test"), "Open");
      addChecks(app);
    };
    expect(() => synthesized(() => ({}), withOpenBucket)).toThrow(/AwsSolutions-S10/);
  });

  const addChecks = (app: App) => Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
});

function everything(stack: Stack): Partial<KafkaBackupProps> {
  return {
    ...fullProps(stack),
    ...{ alarmEmail: "sre@example.org", runbook: "https://wiki.example.org/operations" },
    ...{ workerMemoryMb: 3_008, reservedConcurrency: 9 },
    objectLock: { mode: "governance", days: 30 },
  };
}
