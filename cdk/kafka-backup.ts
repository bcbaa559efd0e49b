/**
 * Backups and restores of a Kafka cluster on AWS: a bucket, a table, the functions, and the state
 * machines. One construct is one cluster and one configuration; its machines take any number of
 * backup ids.
 */
import { readFileSync, rmSync } from "node:fs";
import { Token } from "aws-cdk-lib";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { Code, type Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { IBucket } from "aws-cdk-lib/aws-s3";
import type { ISecret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";
import { BackupBucket, type Encryption } from "#cdk/backup-bucket.ts";
import { BackupFunction, type Network } from "#cdk/backup-function.ts";
import { CatalogTable } from "#cdk/catalog-table.ts";
import { buildFunctionCode, type Stage } from "#cdk/function-code.ts";
import { machines } from "#cdk/machines/all.ts";
import type { Machine, MachineFunction } from "#cdk/machines/machine.ts";
import { pascalCase } from "#cdk/names.ts";
import { Workflow } from "#cdk/workflow.ts";
import {
  type DeployedConfig,
  type DeployedRestoreConfig,
  deployedText,
  type Logins,
  parseDeployment,
  parseRestoreDeployment,
  restoreIntoSource,
} from "#core/config/deployment.ts";
import { BackupError } from "#core/errors.ts";

export interface KafkaBackupProps {
  /** A `mode: backup` file; docs/aws-guide.md says what it may hold. */
  readonly configFile: string;
  /** A `mode: restore` file; unless given, restores go to the cluster that is backed up. */
  readonly restoreConfigFile?: string | undefined;
  /** What `${NAME}` in them is replaced from. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `{"username": …, "password": …}`, where the cluster that is backed up wants a login. */
  readonly login?: ISecret | undefined;
  /** The same of the cluster that is restored into, where it is another. */
  readonly targetLogin?: ISecret | undefined;
  /** Where the brokers are in a VPC. */
  readonly network?: Network | undefined;
  /** In place of a new bucket; it must be the one that the configuration names. */
  readonly bucket?: IBucket | undefined;
  /** Of a new bucket; `s3` unless said. */
  readonly encryption?: Encryption | undefined;
  /** Workers of an execution at a time; as the state machines' files say unless given. */
  readonly maxConcurrency?: number | undefined;
  /** Of a worker; 1,769 MB, which is one whole processor, unless said. */
  readonly workerMemoryMb?: number | undefined;
  /** `local` is for an emulator on the machine that deploys. */
  readonly stage?: Stage | undefined;
}

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html */
const oneProcessorMb = 1_769;
/** 10,000 partitions' plan and checkpoints take some 200 MB. */
const otherMemoryMb = 1_024;

interface Configs {
  readonly backup: DeployedConfig;
  readonly restore: DeployedRestoreConfig;
}

interface Stores {
  readonly bucket: BackupBucket;
  readonly table: CatalogTable;
}

export class KafkaBackup extends Construct {
  readonly bucket: IBucket;
  readonly table: ITable;
  /** By the name of the machine's file: `backup`. */
  readonly workflows: ReadonlyMap<string, Workflow>;
  readonly #props: KafkaBackupProps;
  readonly #stage: Stage;

  /** Throws InvalidConfigError that names what the configurations must not or must have. */
  constructor(scope: Construct, id: string, props: KafkaBackupProps) {
    super(scope, id);
    this.#props = props;
    this.#stage = props.stage ?? "aws";
    const configs = readConfigs(props);
    const { bucket: bucketName, prefix } = configs.backup.storage;
    const bucket = new BackupBucket(this, "Backups", {
      bucketName,
      prefix,
      encryption: props.encryption ?? "s3",
      retain: this.#stage === "aws",
      existing: props.bucket,
    });
    this.bucket = bucket.bucket;
    const table = new CatalogTable(this, "Catalog", { retain: this.#stage === "aws" });
    this.table = table.table;
    const functions = this.#makeFunctions(configs, { bucket, table });
    const workflows = new Map<string, Workflow>();
    for (const machine of machines) {
      workflows.set(machine.name, this.#makeWorkflow(machine, functions, workflows, bucket));
    }
    this.workflows = workflows;
  }

  #makeWorkflow(
    { name, itemLists, planner }: Machine,
    functions: ReadonlyMap<string, LambdaFunction>,
    others: ReadonlyMap<string, Workflow>,
    bucket: BackupBucket,
  ): Workflow {
    const workflow = new Workflow(this, `${pascalCase(name)}Workflow`, {
      name,
      stage: this.#stage,
      functions: Object.fromEntries(
        [...functions].map(([name, made]) => [`${pascalCase(name)}FunctionArn`, made]),
      ),
      stateMachines: Object.fromEntries(
        [...others].map(([name, made]) => [
          `${pascalCase(name)}StateMachineArn`,
          made.stateMachine,
        ]),
      ),
      maxConcurrency: this.#props.maxConcurrency,
    });
    if (planner !== undefined) {
      const workers = String(workflow.maxConcurrency);
      functions.get(planner)?.addEnvironment("KAFKA_BACKUP_WORKERS", workers);
    }
    if (itemLists !== undefined) bucket.grantReadOnly(workflow.role, itemLists);
    return workflow;
  }

  #makeFunctions({ backup, restore }: Configs, stores: Stores): Map<string, LambdaFunction> {
    const configs = {
      "backup.json": deployedText(backup),
      "restore.json": deployedText(restore),
    };
    const folder = buildFunctionCode(configs, this.#stage);
    try {
      const code = Code.fromAsset(folder);
      const all = machines.flatMap(({ functions }) => Object.entries(functions));
      return new Map(all.map(([name, as]) => [name, this.#makeFunction(name, as, code, stores)]));
    } finally {
      // The first function has copied it into the assembly.
      rmSync(folder, { recursive: true });
    }
  }

  #makeFunction(
    name: string,
    { description, grants, cluster, usesTable, isWorker = false }: MachineFunction,
    code: Code,
    { bucket, table }: Stores,
  ): LambdaFunction {
    const { network, login, env = {}, workerMemoryMb = oneProcessorMb } = this.#props;
    const made = new BackupFunction(this, pascalCase(name), {
      name,
      description,
      code,
      stage: this.#stage,
      memoryMb: isWorker ? workerMemoryMb : otherMemoryMb,
      network: cluster === undefined ? undefined : network,
    });
    // An emulator is no place that the SDK would look for by itself.
    const endpoint = this.#stage === "local" ? env.AWS_ENDPOINT_URL : undefined;
    if (endpoint !== undefined) made.function.addEnvironment("AWS_ENDPOINT_URL", endpoint);
    bucket.grant(made.role, grants);
    if (usesTable !== undefined) {
      table.grant(made.role, { remove: usesTable === "remove" });
      made.function.addEnvironment("KAFKA_BACKUP_TABLE", table.table.tableName);
    }
    const letLogIn = (which: "SOURCE" | "TARGET", secret: ISecret | undefined) => {
      if (secret === undefined) return;
      secret.grantRead(made.role);
      made.function.addEnvironment(`KAFKA_BACKUP_${which}_SECRET_ARN`, secret.secretArn);
    };
    if (cluster === "source" || cluster === "both") letLogIn("SOURCE", login);
    if (cluster === "target" || cluster === "both") letLogIn("TARGET", targetLoginOf(this.#props));
    return made.function;
  }
}

/** Without a configuration of its own, the target is the source. */
function targetLoginOf({ restoreConfigFile, login, targetLogin }: KafkaBackupProps) {
  return restoreConfigFile === undefined ? login : targetLogin;
}

/** A login's contents are not known here, and never leave their secret. */
const anyLogin = { username: "-", password: "-" };

function readConfigs(props: KafkaBackupProps): Configs {
  const { configFile, restoreConfigFile, env = {}, login, bucket } = props;
  const targetLogin = targetLoginOf(props);
  const logins: Logins = {
    ...(login !== undefined && { source: anyLogin }),
    ...(targetLogin !== undefined && { target: anyLogin }),
  };
  const read = (fileName: string) =>
    [readFileSync(fileName, "utf8"), { fileName, env, logins }] as const;
  const backup = parseDeployment(...read(configFile));
  const named = backup.storage.bucket;
  const given = bucket?.bucketName ?? named;
  if (!Token.isUnresolved(given) && given !== named) {
    const message = `${configFile} storage.bucket: is ${named}, but the bucket given is ${given}`;
    throw new BackupError("InvalidConfigError", message);
  }
  if (restoreConfigFile === undefined) return { backup, restore: restoreIntoSource(backup) };
  const restore = parseRestoreDeployment(...read(restoreConfigFile));
  for (const key of ["bucket", "prefix"] as const) {
    if (restore.storage[key] === backup.storage[key]) continue;
    throw new BackupError(
      "InvalidConfigError",
      `${restoreConfigFile} storage.${key}: is "${restore.storage[key]}", but ${configFile} has ` +
        `"${backup.storage[key]}": a deployment has one place for its backups`,
    );
  }
  return { backup, restore };
}
