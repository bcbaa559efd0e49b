/**
 * Backups of a Kafka cluster on AWS: a bucket, the functions, and the state machine that backs up.
 * One construct is one cluster and one configuration; its state machine takes any number of
 * backup ids.
 */
import { readFileSync, rmSync } from "node:fs";
import { Token } from "aws-cdk-lib";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { Code, type Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { IBucket } from "aws-cdk-lib/aws-s3";
import type { ISecret } from "aws-cdk-lib/aws-secretsmanager";
import { Construct } from "constructs";
import { BackupBucket, type Encryption, type KeyGrants } from "#cdk/backup-bucket.ts";
import { BackupFunction, type Network } from "#cdk/backup-function.ts";
import { CatalogTable } from "#cdk/catalog-table.ts";
import { buildFunctionCode, type Stage } from "#cdk/function-code.ts";
import { Workflow } from "#cdk/workflow.ts";
import { type DeployedConfig, deployedText, parseDeployment } from "#core/config/deployment.ts";
import { BackupError } from "#core/errors.ts";

export interface KafkaBackupProps {
  /** A `mode: backup` file; docs/aws-guide.md says what it may hold. */
  readonly configFile: string;
  /** What `${NAME}` in it is replaced from. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** `{"username": …, "password": …}`, for clusters with SASL. */
  readonly login?: ISecret | undefined;
  /** Where the brokers are in a VPC. */
  readonly network?: Network | undefined;
  /** In place of a new bucket; it must be the one that the configuration names. */
  readonly bucket?: IBucket | undefined;
  /** Of a new bucket; `s3` unless said. */
  readonly encryption?: Encryption | undefined;
  /** Workers of a run at a time; as the state machine's file says unless given. */
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

interface FunctionOfBackup {
  readonly description: string;
  /** Of a backup's objects, by key below the prefix (S6). */
  readonly grants: KeyGrants;
  readonly readsKafka?: boolean;
  /** Of the catalogue's table; `remove`: what closed runs left there as well. */
  readonly usesTable?: "write" | "remove";
}

const lease = "*/state/lease/*";
const state = "*/state/*";

/** By the name of the file in `functions/`. */
const backupFunctions: Readonly<Record<string, FunctionOfBackup>> = {
  "plan-backup": {
    description: "Checks the request, takes the backup's lease and plans a run",
    grants: { read: ["*"], write: [state], delete: [state] },
    readsKafka: true,
    usesTable: "remove",
  },
  "backup-partition": {
    description: "Reads partitions of a Kafka cluster into the bucket",
    grants: { read: [state], write: [state, "*/topics/*"], delete: [lease] },
    readsKafka: true,
    usesTable: "write",
  },
  "fail-partition": {
    description: "Writes down which partitions failed",
    grants: { read: [state], write: ["*/state/runs/*/work/*/failed/*"] },
  },
  "judge-backup": {
    description: "Reads what failed in a run",
    grants: { read: [state], write: [lease], delete: [lease] },
    usesTable: "write",
  },
  "finish-backup": {
    description: "Commits a run by its manifest",
    grants: {
      read: ["*"],
      write: ["*/manifests/*", "*/manifest.json", "*/runs/*", lease],
      delete: [state],
    },
    usesTable: "remove",
  },
  "fail-backup": {
    description: "Lets go of a failed run's lease",
    grants: { read: [lease], write: [lease], delete: [lease] },
    usesTable: "write",
  },
};

interface Stores {
  readonly bucket: BackupBucket;
  readonly table: CatalogTable;
}

export class KafkaBackup extends Construct {
  readonly bucket: IBucket;
  readonly table: ITable;
  readonly backup: Workflow;
  readonly #props: KafkaBackupProps;
  readonly #stage: Stage;

  /** Throws InvalidConfigError that names what the configuration must not or must have. */
  constructor(scope: Construct, id: string, props: KafkaBackupProps) {
    super(scope, id);
    this.#props = props;
    this.#stage = props.stage ?? "aws";
    const config = readConfig(props);
    const { bucket: bucketName, prefix } = config.storage;
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
    const functions = this.#makeFunctions(config, { bucket, table });
    this.backup = new Workflow(this, "BackupWorkflow", {
      name: "backup",
      stage: this.#stage,
      functions: Object.fromEntries(
        [...functions].map(([name, made]) => [`${pascalCase(name)}FunctionArn`, made]),
      ),
      maxConcurrency: props.maxConcurrency,
    });
    const workers = String(this.backup.maxConcurrency);
    functions.get("plan-backup")?.addEnvironment("KAFKA_BACKUP_WORKERS", workers);
    bucket.grantReadOnly(this.backup.role, "*/state/runs/*/work/*/items.json");
  }

  #makeFunctions(config: DeployedConfig, stores: Stores): Map<string, LambdaFunction> {
    const folder = buildFunctionCode(deployedText(config), this.#stage);
    try {
      const code = Code.fromAsset(folder);
      const names = Object.keys(backupFunctions);
      return new Map(names.map((name) => [name, this.#makeFunction(name, code, stores)]));
    } finally {
      // The first function has copied it into the assembly.
      rmSync(folder, { recursive: true });
    }
  }

  #makeFunction(name: string, code: Code, { bucket, table }: Stores): LambdaFunction {
    const { network, login, env = {}, workerMemoryMb = oneProcessorMb } = this.#props;
    const { description, grants, readsKafka, usesTable } = backupFunctions[name]!;
    const made = new BackupFunction(this, pascalCase(name), {
      name,
      description,
      code,
      stage: this.#stage,
      memoryMb: name === "backup-partition" ? workerMemoryMb : otherMemoryMb,
      network: readsKafka ? network : undefined,
    });
    // An emulator is no place that the SDK would look for by itself.
    const endpoint = this.#stage === "local" ? env.AWS_ENDPOINT_URL : undefined;
    if (endpoint !== undefined) made.function.addEnvironment("AWS_ENDPOINT_URL", endpoint);
    bucket.grant(made.role, grants);
    if (usesTable !== undefined) {
      table.grant(made.role, { remove: usesTable === "remove" });
      made.function.addEnvironment("KAFKA_BACKUP_TABLE", table.table.tableName);
    }
    if (readsKafka && login !== undefined) {
      login.grantRead(made.role);
      made.function.addEnvironment("KAFKA_BACKUP_SECRET_ARN", login.secretArn);
    }
    return made.function;
  }
}

/** A login's contents are not known here, and never leave their secret. */
const anyLogin = { username: "-", password: "-" };

function readConfig({ configFile, env = {}, login, bucket }: KafkaBackupProps): DeployedConfig {
  const config = parseDeployment(readFileSync(configFile, "utf8"), {
    fileName: configFile,
    env,
    login: login === undefined ? undefined : anyLogin,
  });
  const named = config.storage.bucket;
  const given = bucket?.bucketName ?? named;
  if (Token.isUnresolved(given) || given === named) return config;
  throw new BackupError(
    "InvalidConfigError",
    `${configFile} storage.bucket: is ${named}, but the bucket given is ${given}`,
  );
}

/** `plan-backup`: `PlanBackup`. */
function pascalCase(name: string): string {
  return name.replaceAll(/(?:^|-)(\w)/g, (_, letter: string) => letter.toUpperCase());
}
