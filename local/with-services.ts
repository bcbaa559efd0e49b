/**
 * Runs a command with a real Kafka and an S3 of its own, and ends both with it:
 *
 *   node local/with-services.ts COMMAND [ARGUMENT...]
 *   node local/with-services.ts --shell                 a shell to type in
 *
 * The command finds BOOTSTRAP_SERVERS, what the AWS SDK needs to reach the S3 and nothing else, an
 * empty bucket kafka-backups, KAFKA_CLASSPATH for Java with Kafka's client, and on its PATH
 * kafka-backup and Kafka's own tools; TMPDIR is a folder that goes with it. Ports are any free ones,
 * unless DEMO_KAFKA_PORT or DEMO_S3_PORT say. Ends as the command does.
 */
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { environmentFor } from "#local/aws-stage.ts";
import { startKafka } from "#local/kafka.ts";
import { installKafkaScripts, pathWith } from "#local/kafka-scripts.ts";
import { type Ministack, startMinistack } from "#local/ministack.ts";
import { type ProcessExit, runGroup } from "#local/processes.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const bucket = "kafka-backups";
/** For a command that ends applications of its own, before it is killed. */
const commandGraceMs = 30_000;
const portVariables = { kafka: "DEMO_KAFKA_PORT", s3: "DEMO_S3_PORT" } as const;

interface Services {
  readonly env: Environment;
  stop(): Promise<void>;
}

function portIn(variable: string): number | undefined {
  const text = process.env[variable] ?? "";
  if (text === "") return undefined;
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port;
  throw new Error(`${variable} is not a port: ${text}`);
}

/** Says which variable chooses another port; leaves other errors as they are. */
function withRemedy(error: unknown, variable: string): unknown {
  const message = error instanceof Error ? error.message : "";
  if (!message.endsWith("is taken")) return error;
  return new Error(`${message}: set ${variable} to another, or leave it out for any free one`);
}

async function startServices(): Promise<Services> {
  const kafkaPort = portIn(portVariables.kafka);
  const s3Port = portIn(portVariables.s3);
  // One after the other: two installations at once would hide each other's errors.
  const scripts = await installKafkaScripts();
  const [kafka, s3] = await Promise.allSettled([
    startKafka({ port: kafkaPort }),
    startMinistack({ port: s3Port }),
  ]);
  const stop = async () => {
    const running = [kafka, s3].flatMap((each) =>
      each.status === "fulfilled" ? [each.value] : [],
    );
    await Promise.all(running.map((service) => service.stop()));
  };
  try {
    if (kafka.status === "rejected") throw withRemedy(kafka.reason, portVariables.kafka);
    if (s3.status === "rejected") throw withRemedy(s3.reason, portVariables.s3);
    await createBucket(s3.value);
    const ownBin = join(import.meta.dirname, "../bin");
    const env = {
      ...environmentFor(s3.value),
      BOOTSTRAP_SERVERS: kafka.value.bootstrapServers,
      KAFKA_CLASSPATH: kafka.value.classpath,
      PATH: pathWith(ownBin, scripts, dirname(process.execPath)),
      // Made for this command alone: nothing in them is anybody's.
      DEMO_SERVICES: "own",
    };
    return { env, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function createBucket({ endpoint, region, accessKeyId, secretAccessKey }: Ministack) {
  const credentials = { accessKeyId, secretAccessKey };
  const s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
  s3.destroy();
}

/** A shell needs the terminal, so it stays in this process's group and gets its signals itself. */
async function runShell(env: Environment, work: string): Promise<ProcessExit> {
  const prefix = "demos";
  const own = { WORK: work, BACKUPS_PREFIX: prefix, BACKUPS: `s3://${bucket}/${prefix}` };
  const shell = spawn(process.env.SHELL ?? "bash", {
    stdio: "inherit",
    env: { ...process.env, ...env, ...own },
  });
  const exit = await new Promise<ProcessExit>((resolve, reject) => {
    shell.once("error", reject);
    shell.once("exit", (code, signal) => resolve({ code, signal }));
  });
  return exit;
}

/** For a second terminal. */
function describe(env: Environment): string {
  const names = ["BOOTSTRAP_SERVERS", "AWS_ENDPOINT_URL_S3"];
  const lines = names.map((name) => `  ${name}=${env[name]}`);
  return `${lines.join("\n")}\n`;
}

async function main([first, ...rest]: string[]): Promise<number> {
  if (first === undefined) throw new Error("no command is given");
  const isShell = first === "--shell";
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      // In a shell, Ctrl-C ends what runs there.
      if (signal !== "SIGINT" || !isShell) stop.abort(signal);
    });
  }
  process.stderr.write("Starting Apache Kafka and an S3 ...\n");
  const services = await startServices();
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-with-services-"));
  try {
    if (stop.signal.aborted) return 128 + constants.signals[stop.signal.reason as "SIGINT"];
    process.stderr.write(describe(services.env));
    const env = { ...services.env, TMPDIR: folder };
    const { code, signal } = isShell
      ? await runShell(env, folder)
      : await runGroup(first, rest, { env, signal: stop.signal, graceMs: commandGraceMs });
    if (stop.signal.aborted) return 128 + constants.signals[stop.signal.reason as "SIGINT"];
    return code ?? 128 + constants.signals[signal!];
  } finally {
    await services.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});
