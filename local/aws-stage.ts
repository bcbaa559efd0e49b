/**
 * The serverless side on this machine: the real `cdk bootstrap` and `cdk deploy` of the real
 * stack, into an AWS emulator that runs already.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machines } from "#cdk/machines/all.ts";
import { pascalCase } from "#cdk/names.ts";
import { runToEnd, withInstallLock } from "#local/processes.ts";
import { probeErrorNames } from "#local/stage-probe.ts";

export interface AwsEndpoint {
  /** For every service. */
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface AwsStageOptions {
  /** Of the cluster to back up. */
  readonly bootstrapServers: string;
  /** Created. */
  readonly bucket: string;
  readonly stackName: string;
  /**
   * `local` unless said: functions run on this machine and reach what it reaches. `localstack`:
   * in containers, which know the endpoint by themselves.
   */
  readonly stage?: "local" | "localstack";
  /** What executions back up unless their input says otherwise. */
  readonly topics: readonly string[];
  /** When executions start by themselves: `schedules` of the configuration. */
  readonly schedules?: readonly object[];
  /** Further keys of the configuration's `backup` section. */
  readonly backup?: Readonly<Record<string, unknown>>;
  /**
   * Of the configuration for restores: `bootstrap_servers` of another cluster, and its `restore`
   * section. Unless given, restores go to the cluster that is backed up.
   */
  readonly restoreInto?: {
    readonly bootstrapServers: string;
    readonly restore?: Readonly<Record<string, unknown>>;
  };
}

export interface AwsStage {
  /** ARNs by the names of the machines' files: `backup`. */
  readonly stateMachines: Readonly<Record<string, string>>;
  readonly bucket: string;
  /** Of the catalogue. */
  readonly table: string;
}

const root = join(import.meta.dirname, "..");
const cdk = join(root, "node_modules/.bin/cdk");
/** Of the emulator's root user. */
const account = "000000000000";

/** Takes some 20 s. Throws with what the CDK said last, or what the emulator does otherwise than AWS. */
export async function deployAwsStage(
  aws: AwsEndpoint,
  options: AwsStageOptions,
): Promise<AwsStage> {
  const { stackName, stage } = options;
  return deployConfigurations(aws, {
    ...{ stackName, ...(stage !== undefined && { stage }) },
    backup: configurationFor(aws, options),
    restore: restoreConfigurationFor(aws, options),
  });
}

/** A deployment as its configuration files say, but for where the storage's endpoint is. */
export interface ConfiguredStage extends Pick<AwsStageOptions, "stackName" | "stage"> {
  /** What the file of mode `backup` holds. */
  readonly backup: object;
  /** That of mode `restore`, where there is one. */
  readonly restore?: object | undefined;
  /** Of the CDK: for `${NAME}` in the configurations. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** As `deployAwsStage`. */
export async function deployConfigurations(
  aws: AwsEndpoint,
  options: ConfiguredStage,
): Promise<AwsStage> {
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-stage-"));
  try {
    const env = { ...environmentFor(aws), ...options.env };
    const config = join(folder, "backup.json");
    await writeFile(config, JSON.stringify(options.backup));
    const restoreConfig = join(folder, "restore.json");
    if (options.restore) await writeFile(restoreConfig, JSON.stringify(options.restore));
    const context = {
      ...{ config, stage: options.stage ?? "local", stack: options.stackName },
      // What an emulator keeps goes with it.
      encryption: "s3",
      ...(options.restore !== undefined && { restore_config: restoreConfig }),
    };
    const shared = [
      ...["--output", join(folder, "cdk.out"), "--ci"],
      ...["--no-notices", "--no-version-reporting"],
      ...Object.entries(context).flatMap(([name, value]) => ["--context", `${name}=${value}`]),
    ];
    const target = `aws://${account}/${aws.region}`;
    // Two at once, the first time, would each make the stack that is for all.
    await withInstallLock(`bootstrap-${new URL(aws.endpoint).port}`, () =>
      runToEnd(cdk, ["bootstrap", target, ...shared], { cwd: root, env }),
    );
    const outputsFile = join(folder, "outputs.json");
    const deploy = ["deploy", "--require-approval", "never", "--outputs-file", outputsFile];
    await runToEnd(cdk, [...deploy, ...shared], { cwd: root, env });
    const outputs = JSON.parse(await readFile(outputsFile, "utf8"))[options.stackName];
    const stateMachines = Object.fromEntries(
      machines.map(({ name }) => [name, outputs[`${pascalCase(name)}StateMachineArn`]]),
    );
    // Elsewhere functions run on Lambda's own Node, whose errors not every emulator names.
    if (context.stage === "local") await probeErrorNames(aws, stateMachines.backup);
    return {
      stateMachines,
      bucket: outputs.BucketName,
      table: outputs.TableName,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What makes the AWS SDK and the CDK talk to the emulator and to nothing else. */
export function environmentFor(aws: AwsEndpoint): Record<string, string | undefined> {
  return {
    AWS_ENDPOINT_URL: aws.endpoint,
    AWS_ENDPOINT_URL_S3: aws.endpoint,
    AWS_ACCESS_KEY_ID: aws.accessKeyId,
    AWS_SECRET_ACCESS_KEY: aws.secretAccessKey,
    AWS_SESSION_TOKEN: undefined,
    AWS_PROFILE: undefined,
    AWS_REGION: aws.region,
    AWS_DEFAULT_REGION: aws.region,
    CDK_DEFAULT_ACCOUNT: account,
    CDK_DEFAULT_REGION: aws.region,
  };
}

function configurationFor(aws: AwsEndpoint, options: AwsStageOptions): object {
  const { bootstrapServers, topics, stackName, schedules = [], backup = {} } = options;
  return {
    mode: "backup",
    backup_id: stackName.toLowerCase(),
    source: { bootstrap_servers: bootstrapServers, topics: { include: topics } },
    storage: storageFor(aws, options),
    backup,
    schedules,
  };
}

function restoreConfigurationFor(aws: AwsEndpoint, options: AwsStageOptions): object | undefined {
  if (options.restoreInto === undefined) return undefined;
  const { bootstrapServers, restore = {} } = options.restoreInto;
  return {
    mode: "restore",
    backup_id: options.stackName.toLowerCase(),
    target: { bootstrap_servers: bootstrapServers },
    storage: storageFor(aws, options),
    restore,
  };
}

function storageFor(aws: AwsEndpoint, { bucket, stage }: AwsStageOptions): object {
  return { backend: "s3", bucket, ...storagePlace(aws, stage) };
}

/** Keys of a configuration's storage that say where a stage's functions find the emulator's S3. */
export function storagePlace({ endpoint, region }: AwsEndpoint, stage?: "local" | "localstack") {
  return { region, path_style: true, ...(stage !== "localstack" && { endpoint }) };
}
