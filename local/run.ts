/**
 * `npm run local`: a real Kafka, an AWS emulator, and the serverless side deployed into it by the
 * real CDK; runs until Ctrl-C and leaves nothing behind.
 */
import { type AwsStage, deployAwsStage, environmentFor } from "#local/aws-stage.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { type Ministack, startMinistack } from "#local/ministack.ts";
import { localSettings } from "#local/settings.ts";

const { bucket, stackName, topics } = localSettings();

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function machineLines({ stateMachines }: AwsStage): string {
  const lines = Object.entries(stateMachines).map(([name, arn]) => `${name.padEnd(19)}${arn}`);
  return ["State machines, by name:", ...lines].join("\n");
}

function describe(kafka: LocalKafka, aws: Ministack, stage: AwsStage): string {
  const names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
  const env = environmentFor(aws);
  const { backup } = stage.stateMachines;
  return `
Kafka              ${kafka.bootstrapServers}
AWS, all services  ${aws.endpoint}
bucket             ${stage.bucket}
${machineLines(stage)}
logs               ${kafka.logFile}
                   ${aws.logFile}

For the AWS command line, and for kafka-backup:

${names.map((name) => `  export ${name}=${env[name]}`).join("\n")}

Back up all topics, which are ${topics.join(", ")}, and see what became of it:

  aws stepfunctions start-execution --state-machine-arn ${backup} --input '{}'
  bin/kafka-backup list --path "s3://${stage.bucket}?endpoint=${aws.endpoint}"

Ctrl-C ends all of it.`;
}

async function createTopic({ bootstrapServers, tool }: LocalKafka, topic: string): Promise<void> {
  const create = ["--create", "--topic", topic, "--partitions", "3"];
  const args = ["--bootstrap-server", bootstrapServers, ...create];
  const { code, stderr } = await tool("org.apache.kafka.tools.TopicCommand", args);
  if (code !== 0) throw new Error(`topic ${topic} was not created:\n${stderr}`);
}

async function run(stopped: AbortSignal): Promise<void> {
  say("Starting Kafka and the AWS emulator ...");
  const started = await Promise.allSettled([startKafka(), startMinistack()]);
  try {
    const [kafka, aws] = started;
    if (kafka.status === "rejected") throw kafka.reason;
    if (aws.status === "rejected") throw aws.reason;
    for (const topic of topics) await createTopic(kafka.value, topic);
    say("Deploying: cdk bootstrap, cdk deploy ...");
    const stage = await deployAwsStage(aws.value, {
      bootstrapServers: kafka.value.bootstrapServers,
      bucket,
      stackName,
      topics: ["*"],
    });
    say(describe(kafka.value, aws.value, stage));
    if (!stopped.aborted) {
      await new Promise((resolve) => stopped.addEventListener("abort", resolve, { once: true }));
    }
    say("Stopping ...");
  } finally {
    const running = started.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    await Promise.all(running.map((service) => service.stop()));
  }
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
// Signals do not keep a process alive.
const alive = setInterval(() => {}, 60_000);
try {
  await run(stop.signal);
} finally {
  clearInterval(alive);
}
