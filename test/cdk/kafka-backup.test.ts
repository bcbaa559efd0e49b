import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type App, Validations } from "aws-cdk-lib";
import { Match } from "aws-cdk-lib/assertions";
import { SecurityGroup, Vpc } from "aws-cdk-lib/aws-ec2";
import { Bucket } from "aws-cdk-lib/aws-s3";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { AwsSolutionsChecks } from "cdk-nag";
import { afterAll, describe, expect, test } from "vitest";
import { functionNames } from "#cdk/function-code.ts";
import { tableAttributes } from "#core/catalog/table.ts";
import {
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
const secretArn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:AmazonMSK_backup-AbCdEf";
/** All that can be asked for. */
const full = synthesized((stack) => ({
  encryption: "kms",
  maxConcurrency: 7,
  login: Secret.fromSecretCompleteArn(stack, "Login", secretArn),
  configFile: saslConfig(),
  network: {
    vpc: Vpc.fromVpcAttributes(stack, "Vpc", {
      vpcId: "vpc-1",
      availabilityZones: ["a"],
      privateSubnetIds: ["subnet-1"],
    }),
    securityGroups: [SecurityGroup.fromSecurityGroupId(stack, "Group", "sg-1")],
  },
}));

function saslConfig(): string {
  const file = join(plain.codeFolder, "..", "sasl.yaml");
  const source = {
    bootstrap_servers: "b-1.example:9096",
    security_protocol: "SASL_SSL",
    sasl_mechanism: "SCRAM-SHA-512",
    topics: { include: ["*"] },
  };
  const storage = { backend: "s3", bucket: "example-bucket", prefix: "a/b" };
  writeFileSync(file, JSON.stringify({ mode: "backup", backup_id: "b", source, storage }));
  return file;
}

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

describe("S6 roles", () => {
  const roles = statementsByRole(plain.template);
  const resourcesOf = (role: string, action: string) =>
    roles[role]!.filter(({ actions }) => actions.includes(action)).flatMap((s) => s.resources);

  test("each function has one of its own, and the machine has one", () => {
    const machine = plain.template.findResources("AWS::StepFunctions::StateMachine");
    expect(Object.keys(machine)).toHaveLength(1);
    const functions = plain.template.findResources("AWS::Lambda::Function");
    const roleOf = ({ Properties }: Record<string, never>) =>
      JSON.stringify((Properties as unknown as { Role: object }).Role);
    const used = new Set(Object.values(functions).map((each) => roleOf(each as never)));
    expect(used.size).toBe(functionNames().length);
    expect(Object.keys(roles).sort()).toEqual([
      "BackupPartition",
      "BackupWorkflow",
      "FailBackup",
      "FailPartition",
      "FinishBackup",
      "JudgeBackup",
      "PlanBackup",
    ]);
  });

  test("none may do everything with anything, or use a policy of AWS's", () => {
    const all = Object.values(roles).flat();
    expect(all.flatMap(({ actions }) => actions).filter((name) => /\*/.test(name))).toEqual([]);
    const anywhere = all.filter(({ resources }) => resources.includes("*"));
    const named = new Set(anywhere.flatMap(({ actions }) => actions.map(serviceOf)));
    expect([...named].sort()).toEqual(["logs", "xray"]);
    plain.template.allResourcesProperties("AWS::IAM::Role", {
      ManagedPolicyArns: Match.absent(),
    });
  });

  test("only state of runs and leases may be deleted, and by a worker only leases", () => {
    const deleters = Object.keys(roles).filter(
      (role) => resourcesOf(role, "s3:DeleteObject").length > 0,
    );
    for (const role of deleters) {
      for (const resource of resourcesOf(role, "s3:DeleteObject")) {
        expect(resource).toMatch(/^\{bucket\}\/\*\/state\//);
      }
    }
    expect(resourcesOf("BackupPartition", "s3:DeleteObject")).toEqual(["{bucket}/*/state/lease/*"]);
    expect(deleters).not.toContain("FailPartition");
    const everything = Object.values(roles).flatMap((each) => each.flatMap((s) => s.actions));
    expect(everything).not.toContain("s3:DeleteObjectVersion");
    expect(everything).not.toContain("s3:PutBucketPolicy");
  });

  test("only the last step may write manifests, only a worker segments", () => {
    const writers = (key: string) =>
      Object.keys(roles).filter((role) =>
        resourcesOf(role, "s3:PutObject").some((resource) => resource.endsWith(key)),
      );
    expect(writers("/*/manifests/*")).toEqual(["FinishBackup"]);
    expect(writers("/*/topics/*")).toEqual(["BackupPartition"]);
    expect(resourcesOf("BackupPartition", "s3:PutObject")).toEqual([
      "{bucket}/*/state/*",
      "{bucket}/*/topics/*",
    ]);
  });

  test("the machine may invoke its functions, read its work items, and start its own children", () => {
    const functions = Object.keys(plain.template.findResources("AWS::Lambda::Function"));
    expect(resourcesOf("BackupWorkflow", "lambda:InvokeFunction").sort()).toEqual(functions.sort());
    expect(resourcesOf("BackupWorkflow", "s3:GetObject")).toEqual([
      "{bucket}/*/state/runs/*/work/*/items.json",
    ]);
    const [machine] = Object.keys(plain.template.findResources("AWS::StepFunctions::StateMachine"));
    expect(resourcesOf("BackupWorkflow", "states:StartExecution")).toEqual([machine]);
  });

  test("the login's secret is read by those who read from Kafka, and by no others", () => {
    const readers = Object.entries(statementsByRole(full.template)).filter(([, statements]) =>
      statements.some(({ actions }) => actions.includes("secretsmanager:GetSecretValue")),
    );
    expect(readers.map(([role]) => role).sort()).toEqual(["BackupPartition", "PlanBackup"]);
    const secrets = readers.flatMap(([, statements]) => statements.filter(readsSecrets));
    expect(new Set(secrets.flatMap(({ resources }) => resources))).toEqual(new Set([secretArn]));
  });

  test("the table is for those who keep the catalogue; only who closes runs removes items", () => {
    const users = (action: string) =>
      Object.keys(roles)
        .filter((role) => resourcesOf(role, action).length > 0)
        .sort();
    const keepers = [
      ...["BackupPartition", "FailBackup", "FinishBackup", "JudgeBackup", "PlanBackup"],
    ];
    expect(users("dynamodb:PutItem")).toEqual(keepers);
    expect(users("dynamodb:Query")).toEqual(keepers);
    expect(users("dynamodb:BatchWriteItem")).toEqual(["FinishBackup", "PlanBackup"]);
    const tables = Object.keys(plain.template.findResources("AWS::DynamoDB::Table"));
    expect(new Set(resourcesOf("PlanBackup", "dynamodb:PutItem"))).toEqual(new Set(tables));
  });

  const readsSecrets = ({ actions }: Statement) =>
    actions.includes("secretsmanager:GetSecretValue");
  const serviceOf = (action: string) => action.split(":")[0]!;
});

describe("S7 the bucket", () => {
  test("takes nothing but TLS, keeps versions, is private and stays when the stack goes", () => {
    plain.template.hasResource("AWS::S3::Bucket", {
      DeletionPolicy: "Retain",
      Properties: {
        BucketName: "example-kafka-backups",
        VersioningConfiguration: { Status: "Enabled" },
        PublicAccessBlockConfiguration: { BlockPublicAcls: true, RestrictPublicBuckets: true },
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [
            { ServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" } },
          ],
        },
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

  test("with kms has a key of its own that turns, and that every role with objects may use", () => {
    full.template.hasResource("AWS::KMS::Key", {
      DeletionPolicy: "Retain",
      Properties: { EnableKeyRotation: true },
    });
    const roles = Object.entries(statementsByRole(full.template));
    const withKey = roles.filter(([, each]) => each.some((s) => s.actions.includes("kms:Decrypt")));
    expect(withKey.map(([role]) => role)).toEqual(roles.map(([role]) => role));
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
      Properties: { VpcConfig: { SubnetIds: ["subnet-1"], SecurityGroupIds: ["sg-1"] } },
    });
    expect(Object.keys(functions).map((id) => /^KafkaBackup(\w+?)Function/.exec(id)?.[1])).toEqual([
      "PlanBackup",
      "BackupPartition",
    ]);
  });

  test("the plan knows how many workers the machine runs at a time", () => {
    const workers = (synthesis: Synthesis) => {
      const [machine] = Object.values(
        synthesis.template.findResources("AWS::StepFunctions::StateMachine"),
      );
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
    ["with a key", () => ({ encryption: "kms" as const })],
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
