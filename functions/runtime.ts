/**
 * What all functions share: parsing, the deadline, clients that outlive an invocation, logs,
 * metrics, traces, and the error boundary. A function answers plain JSON; a BackupError leaves it
 * as it is, so that its name is what `ErrorEquals` in a state machine compares, and its message
 * what the execution's cause says.
 */
import { Logger as LambdaLogger } from "@aws-lambda-powertools/logger";
import { injectLambdaContext } from "@aws-lambda-powertools/logger/middleware";
import { Metrics } from "@aws-lambda-powertools/metrics";
import type { MetricUnit } from "@aws-lambda-powertools/metrics/types";
import { Tracer } from "@aws-lambda-powertools/tracer";
import { captureLambdaHandler } from "@aws-lambda-powertools/tracer/middleware";
import middy from "@middy/core";
import type { Context } from "aws-lambda";
import type { z } from "zod";
import type { BackupDeps } from "#core/backup/contract.ts";
import type { CatalogDeps } from "#core/backup/steps/contract.ts";
import { CircuitBreaker } from "#core/circuit-breaker.ts";
import type { DeployedConfig, DeployedRestoreConfig } from "#core/config/deployment.ts";
import { BackupError, isBackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { type Deadline, deadlineAt, type Logger } from "#core/runtime.ts";
import { randomId, systemClock } from "#core/system.ts";
import type { ThreePhaseDeps, ThreePhaseRequest } from "#core/three-phase/contract.ts";
import { unlessCircuitOpen } from "#core/work-items/circuit.ts";
import { measuringConflicts } from "#functions/lease-conflicts.ts";
import { Clients } from "#functions/settings.ts";

const lambdaLogger = new LambdaLogger();
/** Several deployments of an account are told apart by their names. */
const metrics = new Metrics({
  namespace: "KafkaBackup",
  serviceName: process.env.KAFKA_BACKUP_DEPLOYMENT ?? "KafkaBackup",
});
/** Without a trace of each request: a worker makes thousands, and the SDK would patch `http`. */
const tracer = new Tracer({ captureHTTPsRequests: false });

/** One invocation at a time, so one run at a time. */
const breaker = new CircuitBreaker(systemClock);

const logger: Logger = {
  debug: (message, fields = {}) => lambdaLogger.debug(message, fields),
  info: (message, fields = {}) => lambdaLogger.info(message, fields),
  warn: (message, fields = {}) => lambdaLogger.warn(message, fields),
  error: (message, fields = {}) => lambdaLogger.error(message, fields),
};

/** Kept from one invocation to the next. */
const clients = new Clients(
  {
    folder: import.meta.dirname,
    secretArns: {
      source: process.env.KAFKA_BACKUP_SOURCE_SECRET_ARN,
      target: process.env.KAFKA_BACKUP_TARGET_SECRET_ARN,
    },
    table: process.env.KAFKA_BACKUP_TABLE,
  },
  logger,
  breaker,
);

const workers = Number(process.env.KAFKA_BACKUP_WORKERS);

/**
 * A worker stops so long before the function's own end: the last fetch (5 s), closing and
 * uploading its segments, and one round of a storage's repetitions (33 s) fit into it.
 */
const marginMs = 60_000;

/** What a step works with. */
export interface Step {
  readonly deadline: Deadline;
  /**
   * A worker's turn, unless `circuitKey` says that brokers or storage are gone: then it throws
   * CircuitOpenError. The signal of its deadline aborts with one once nothing answers any more.
   * Other steps are repeated by the state machine.
   */
  workerTurn<Outcome>(
    circuitKey: string,
    turn: (deadline: Deadline) => Promise<Outcome>,
  ): Promise<Outcome>;
  /** Workers of a state machine's Map at a time, as its definition says. */
  readonly workers: number;
  config(): Promise<DeployedConfig>;
  restoreConfig(): Promise<DeployedRestoreConfig>;
  /** For steps that talk to no cluster. */
  catalogDeps(): Promise<CatalogDeps>;
  /** With the cluster that is backed up. */
  backupDeps(): Promise<BackupDeps>;
  /** With the cluster that is restored into. */
  restoreDeps(): Promise<RestoreDeps>;
  /** The same, and the cluster that is backed up where it is asked what groups have committed. */
  threePhaseDeps(request: ThreePhaseRequest): Promise<ThreePhaseDeps>;
  /** With the one of the two that has this id; where neither has it, with the one backed up. */
  depsOf(clusterId: string): Promise<BackupDeps>;
  /** Writes metrics of the deployment as a whole, and of this backup. */
  measure(backupId: string, measured: Readonly<Record<string, Measured>>): void;
}

export type Measured = readonly [value: number, unit: MetricUnit];

/** How long brokers held a worker's turn back by a quota; nothing where they did not. */
export function throttleMetric(
  cluster: Pick<Cluster, "throttledMs">,
  beforeMs: number,
): Readonly<Record<string, Measured>> {
  const ms = cluster.throttledMs() - beforeMs;
  return ms > 0 ? { ThrottledTime: [ms, "Milliseconds"] } : {};
}

/**
 * A function's handler: checks the event against `input` and does `work`. Throws
 * InvalidRequestError that names the field.
 */
export function step<Input, Output>(
  input: z.ZodType<Input>,
  work: (step: Step, request: Input) => Promise<Output>,
) {
  const handle = async (event: unknown, context: Context) => {
    const request = parsed(input, event);
    await clients.renewLogins();
    return plainJson(await work(stepWithin(context), request));
  };
  return middy(handle)
    .use(captureLambdaHandler(tracer, { captureResponse: false }))
    .use(injectLambdaContext(lambdaLogger, { resetKeys: true }))
    .use({ onError: ({ error }) => tellError(error) });
}

/** As CloudWatch's embedded metric format: once without `dimension`, and once by it. */
function writeMetrics(
  dimension: Readonly<Record<string, string>>,
  measured: Readonly<Record<string, Measured>>,
): void {
  metrics.addDimensions({}).addDimensions(dimension);
  for (const [name, [value, unit]] of Object.entries(measured)) {
    metrics.addMetric(name, unit, value);
  }
  metrics.publishStoredMetrics();
}

function measure(backupId: string, measured: Readonly<Record<string, Measured>>): void {
  writeMetrics({ backup_id: backupId }, measured);
}

function tellError(error: unknown): void {
  const { name, message } = error instanceof Error ? error : new Error(String(error));
  writeMetrics({ error: name }, { Errors: [1, "Count"] });
  const told = isBackupError(error) ? { hint: error.hint, details: error.details } : { error };
  logger.error(`${name}: ${message}`, told);
}

function stepWithin(context: Context): Step {
  const endsAtMs = systemClock.monotonicMs() + context.getRemainingTimeInMillis() - marginMs;
  const catalogDeps = async () => ({
    storage: await clients.storage(),
    catalog: measuringConflicts(await clients.catalog(), measure, systemClock),
    clock: systemClock,
    logger,
  });
  return {
    deadline: deadlineAt(systemClock, endsAtMs),
    async workerTurn(circuitKey, turn) {
      const deadline = deadlineAt(systemClock, endsAtMs, breaker.beginRun(circuitKey));
      return unlessCircuitOpen(await clients.storage(), circuitKey, () => turn(deadline));
    },
    workers,
    config: () => clients.config(),
    restoreConfig: () => clients.restoreConfig(),
    catalogDeps,
    backupDeps: async () => ({
      ...(await catalogDeps()),
      cluster: await clients.source(),
      newId: randomId,
    }),
    restoreDeps: async () => ({
      ...(await catalogDeps()),
      cluster: await clients.target(),
      newId: randomId,
    }),
    threePhaseDeps: async ({ offset_source }) => ({
      ...(await catalogDeps()),
      cluster: await clients.target(),
      newId: randomId,
      ...(offset_source === "current" && { source: await clients.source() }),
    }),
    depsOf: async (clusterId) => ({
      ...(await catalogDeps()),
      cluster: await clients.withId(clusterId),
      newId: randomId,
    }),
    measure,
  };
}

function parsed<Input>(input: z.ZodType<Input>, event: unknown): Input {
  const result = input.safeParse(event);
  if (result.success) return result.data;
  const problems = result.error.issues.map(
    ({ path, message }) => `${path.join(".") || "input"}: ${message}`,
  );
  throw new BackupError("InvalidRequestError", problems.join("; "), {
    hint: "statemachines/README.md shows the input of each state machine.",
  });
}

/** 64-bit integers as decimal strings: a state machine's JSON numbers are not exact. */
function plainJson<T>(value: T): unknown {
  const text = JSON.stringify(value, (_key, inner) =>
    typeof inner === "bigint" ? inner.toString() : inner,
  );
  return JSON.parse(text ?? "null");
}
