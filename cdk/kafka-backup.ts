/**
 * Backups and restores of a Kafka cluster on AWS: a bucket, a table, the functions, and the state
 * machines. One construct is one cluster and one configuration; its machines take any number of
 * backup ids.
 */
import { rmSync } from "node:fs";
import type { ITable } from "aws-cdk-lib/aws-dynamodb";
import { Code, type Function as LambdaFunction } from "aws-cdk-lib/aws-lambda";
import type { IBucket } from "aws-cdk-lib/aws-s3";
import type { ISecret } from "aws-cdk-lib/aws-secretsmanager";
import type { ITopic } from "aws-cdk-lib/aws-sns";
import { Construct } from "constructs";
import { AlarmTopic } from "#cdk/alarm-topic.ts";
import { Alarms } from "#cdk/alarms.ts";
import { BackupBucket, type Encryption, type ObjectLock } from "#cdk/backup-bucket.ts";
import { BackupFunction, type Network } from "#cdk/backup-function.ts";
import { CatalogTable } from "#cdk/catalog-table.ts";
import { type Configurations, ofTarget, readConfigurations } from "#cdk/configurations.ts";
import { addDashboard } from "#cdk/dashboard.ts";
import { buildFunctionCode, type Stage } from "#cdk/function-code.ts";
import { machines } from "#cdk/machines/all.ts";
import type { ClusterOfFunction, Machine, MachineFunction } from "#cdk/machines/machine.ts";
import { grantMskAccess } from "#cdk/msk-access.ts";
import { nameOfPath, pascalCase } from "#cdk/names.ts";
import { Schedules } from "#cdk/schedules.ts";
import { Workflow } from "#cdk/workflow.ts";
import { deployedText } from "#core/config/deployment.ts";
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
  /** Of the cluster that is backed up, where it is an Amazon MSK one that asks IAM. */
  readonly clusterArn?: string | undefined;
  /** The same of the cluster that is restored into, where it is another. */
  readonly targetClusterArn?: string | undefined;
  /** Where the brokers are in a VPC. */
  readonly network?: Network | undefined;
  /** In place of a new bucket; it must be the one that the configuration names. */
  readonly bucket?: IBucket | undefined;
  /** Of a new bucket; `kms` unless said. */
  readonly encryption?: Encryption | undefined;
  /** Of a new bucket; none unless given. */
  readonly objectLock?: ObjectLock | undefined;
  /** Workers of an execution at a time; as the state machines' files say unless given. */
  readonly maxConcurrency?: number | undefined;
  /** Of a worker; 1,769 MB, which is one whole processor, unless said. */
  readonly workerMemoryMb?: number | undefined;
  /** Of the account's concurrency, for workers alone; at least `maxConcurrency`. */
  readonly reservedConcurrency?: number | undefined;
  /** Is told of alarms, beside those that subscribe to the topic. */
  readonly alarmEmail?: string | undefined;
  /** Where docs/operations.md can be read, for links in alarms. */
  readonly runbook?: string | undefined;
  /** `local` is for an emulator on the machine that deploys. */
  readonly stage?: Stage | undefined;
}

/** https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html */
const oneProcessorMb = 1_769;
/** 10,000 partitions' plan and checkpoints take some 200 MB. */
const otherMemoryMb = 1_024;

interface Stores {
  readonly bucket: BackupBucket;
  readonly table: CatalogTable;
}

/** What state machines may use. */
interface MadeBefore {
  readonly functions: ReadonlyMap<string, LambdaFunction>;
  readonly workflows: ReadonlyMap<string, Workflow>;
  readonly bucket: BackupBucket;
  readonly topic: AlarmTopic;
}

export class KafkaBackup extends Construct {
  readonly bucket: IBucket;
  readonly table: ITable;
  /** By the name of the machine's file: `backup`. */
  readonly workflows: ReadonlyMap<string, Workflow>;
  readonly alarmTopic: ITopic;
  /** Tells several in one account and region apart, in names of metrics and alarms. */
  readonly deployment: string;
  readonly #props: KafkaBackupProps;
  readonly #stage: Stage;

  /** Throws InvalidConfigError that names what the configurations must not or must have. */
  constructor(scope: Construct, id: string, props: KafkaBackupProps) {
    super(scope, id);
    this.#props = props;
    this.#stage = props.stage ?? "aws";
    this.deployment = nameOfPath(this.node.path);
    const configs = readConfigurations(props);
    const { bucket: bucketName, prefix } = configs.backup.storage;
    const bucket = new BackupBucket(this, "Backups", {
      bucketName,
      prefix,
      encryption: props.encryption ?? "kms",
      retain: this.#stage === "aws",
      objectLock: props.objectLock,
      existing: props.bucket,
    });
    this.bucket = bucket.bucket;
    const table = new CatalogTable(this, "Catalog", { retain: this.#stage === "aws" });
    this.table = table.table;
    const functions = this.#makeFunctions(configs, { bucket, table });
    const topic = new AlarmTopic(this, "AlarmTopic", { email: props.alarmEmail });
    this.alarmTopic = topic.topic;
    const workflows = new Map<string, Workflow>();
    for (const machine of machines) {
      const made = this.#makeWorkflow(machine, { functions, workflows, bucket, topic });
      workflows.set(machine.name, made);
    }
    this.workflows = workflows;
    this.#watch(configs, functions);
  }

  #watch({ schedules }: Configurations, functions: ReadonlyMap<string, LambdaFunction>): void {
    const { deployment, table } = this;
    const stateMachines = new Map(
      [...this.workflows].map(([name, { stateMachine }]) => [name, stateMachine]),
    );
    const { unstarted } = new Schedules(this, "Schedules", {
      schedules,
      backup: stateMachines.get("backup")!,
      validate: stateMachines.get("validate")!,
    });
    new Alarms(this, "Alarms", {
      ...{ deployment, topic: this.alarmTopic, runbook: this.#props.runbook },
      ...{ stateMachines, schedules, unstarted },
    });
    addDashboard(this, "Dashboard", { deployment, stateMachines, functions, table });
  }

  #makeWorkflow(
    { name, itemLists, planner }: Machine,
    { functions, workflows, bucket, topic }: MadeBefore,
  ): Workflow {
    const workflow = new Workflow(this, `${pascalCase(name)}Workflow`, {
      name,
      stage: this.#stage,
      functions: Object.fromEntries(
        [...functions].map(([name, made]) => [`${pascalCase(name)}FunctionArn`, made]),
      ),
      stateMachines: Object.fromEntries(
        [...workflows].map(([name, made]) => [
          `${pascalCase(name)}StateMachineArn`,
          made.stateMachine,
        ]),
      ),
      topic,
      maxConcurrency: this.#props.maxConcurrency,
    });
    const { reservedConcurrency = workflow.maxConcurrency ?? 0 } = this.#props;
    if (reservedConcurrency < (workflow.maxConcurrency ?? 0)) {
      const message = `reserved concurrency: ${reservedConcurrency} is less than the ${workflow.maxConcurrency} workers of ${name}: the others would only be refused`;
      throw new BackupError("InvalidConfigError", message, {
        hint: "Reserve more, or run fewer workers at a time.",
      });
    }
    if (planner !== undefined) {
      const workers = String(workflow.maxConcurrency);
      functions.get(planner)?.addEnvironment("KAFKA_BACKUP_WORKERS", workers);
    }
    if (itemLists !== undefined) bucket.grantReadOnly(workflow.role, itemLists);
    return workflow;
  }

  #makeFunctions({ backup, restore }: Configurations, stores: Stores): Map<string, LambdaFunction> {
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
    wanted: MachineFunction,
    code: Code,
    { bucket, table }: Stores,
  ): LambdaFunction {
    const { description, grants, cluster, usesTable, isWorker = false } = wanted;
    const { network, env = {}, workerMemoryMb = oneProcessorMb } = this.#props;
    const made = new BackupFunction(this, pascalCase(name), {
      name,
      description,
      code,
      stage: this.#stage,
      memoryMb: isWorker ? workerMemoryMb : otherMemoryMb,
      reservedConcurrency: isWorker ? this.#props.reservedConcurrency : undefined,
      environment: { KAFKA_BACKUP_DEPLOYMENT: this.deployment },
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
    if (cluster !== undefined) this.#letIn(made, cluster, wanted);
    return made.function;
  }

  /** To the clusters that the function talks to: by the login's secret, or by IAM. */
  #letIn(
    { function: made, role }: BackupFunction,
    to: ClusterOfFunction,
    { kafka = [] }: MachineFunction,
  ): void {
    const letIn = (
      which: "SOURCE" | "TARGET",
      secret: ISecret | undefined,
      arn: string | undefined,
    ) => {
      if (arn !== undefined) grantMskAccess(role, arn, kafka);
      if (secret === undefined) return;
      secret.grantRead(role);
      made.addEnvironment(`KAFKA_BACKUP_${which}_SECRET_ARN`, secret.secretArn);
    };
    const { login, clusterArn } = this.#props;
    const targetLogin = ofTarget(this.#props, "login", "targetLogin");
    const targetArn = ofTarget(this.#props, "clusterArn", "targetClusterArn");
    if (to !== "target") letIn("SOURCE", login, clusterArn);
    if (to !== "source") letIn("TARGET", targetLogin, targetArn);
  }
}
