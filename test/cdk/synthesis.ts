/** The stack as `cdk synth` makes it, without an account. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { App, Stack } from "aws-cdk-lib";
import { Template } from "aws-cdk-lib/assertions";
import { SecurityGroup, Vpc } from "aws-cdk-lib/aws-ec2";
import { Secret } from "aws-cdk-lib/aws-secretsmanager";
import { KafkaBackup, type KafkaBackupProps } from "#cdk/kafka-backup.ts";

export const exampleConfig = join(import.meta.dirname, "../../cdk/example-backup.yaml");

export const secretArn =
  "arn:aws:secretsmanager:eu-central-1:111122223333:secret:AmazonMSK_backup-AbCdEf";

/** Of a cluster with a login, in a VPC, with backups and validations by schedules. */
export function fullProps(stack: Stack): Partial<KafkaBackupProps> {
  return {
    maxConcurrency: 7,
    login: Secret.fromSecretCompleteArn(stack, "Login", secretArn),
    configFile: join(import.meta.dirname, "with-login.yaml"),
    network: {
      vpc: Vpc.fromVpcAttributes(stack, "Vpc", {
        vpcId: "vpc-1",
        availabilityZones: ["a"],
        privateSubnetIds: ["subnet-0a1b2c3d"],
      }),
      securityGroups: [SecurityGroup.fromSecurityGroupId(stack, "Group", "sg-0a1b2c3d")],
    },
  };
}

export interface Synthesis {
  readonly template: Template;
  /** Of the functions' code, as it will be uploaded. */
  readonly codeFolder: string;
  remove(): void;
}

export function synthesize(
  props: (stack: Stack) => Partial<KafkaBackupProps> = () => ({}),
  prepare: (app: App) => void = () => {},
): Synthesis {
  const outdir = mkdtempSync(join(tmpdir(), "kafka-backup-synth-"));
  const remove = () => rmSync(outdir, { recursive: true });
  try {
    return { ...synthesizeInto(outdir, props, prepare), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function synthesizeInto(
  outdir: string,
  props: (stack: Stack) => Partial<KafkaBackupProps>,
  prepare: (app: App) => void,
): Omit<Synthesis, "remove"> {
  const app = new App({ outdir });
  const stack = new Stack(app, "Test");
  new KafkaBackup(stack, "KafkaBackup", { configFile: exampleConfig, ...props(stack) });
  prepare(app);
  const template = Template.fromStack(stack);
  const asset = readdirSync(outdir).find((name) => name.startsWith("asset."))!;
  return { template, codeFolder: join(outdir, asset) };
}

export interface Statement {
  readonly actions: readonly string[];
  readonly resources: readonly string[];
}

interface PolicyResource {
  readonly Properties: {
    readonly Roles: readonly { readonly Ref: string }[];
    readonly PolicyDocument: {
      readonly Statement: readonly { Action: string | string[]; Resource: unknown }[];
    };
  };
}

/** By function (`BackupPartition`) or workflow (`Backup`): what its role may do. */
export function statementsByRole(template: Template): Record<string, Statement[]> {
  const policies = template.findResources("AWS::IAM::Policy") as Record<string, PolicyResource>;
  const found: Record<string, Statement[]> = {};
  for (const { Properties } of Object.values(policies)) {
    for (const { Ref } of Properties.Roles) {
      const role = /^KafkaBackup(\w+)Role[0-9A-F]{8}$/.exec(Ref)?.[1] ?? Ref;
      found[role] ??= [];
      for (const { Action, Resource } of Properties.PolicyDocument.Statement) {
        const resources = Array.isArray(Resource) ? Resource : [Resource];
        found[role].push({ actions: [Action].flat(), resources: resources.map(textOf) });
      }
    }
  }
  return found;
}

/** `{bucket}/*`, or what CloudFormation puts in by its logical id. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  const { Ref, "Fn::GetAtt": attribute, "Fn::Join": join } = value as Record<string, unknown>;
  if (typeof Ref === "string") return Ref;
  if (Array.isArray(attribute)) {
    return /BackupsBucket/.test(attribute[0]) ? "{bucket}" : String(attribute[0]);
  }
  return (join as [string, unknown[]])[1].map(textOf).join("");
}

export function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}
