/**
 * `npm run deploy:localstack`: deploys the serverless side into the LocalStack that
 * docker-compose.yml starts, beside its Kafka. LOCALSTACK_ENDPOINT names another one.
 */
import { type AwsEndpoint, deployAwsStage, environmentFor } from "#local/aws-stage.ts";
import { type LocalSettings, localSettings } from "#local/settings.ts";

/** As functions see it, which LocalStack starts in the broker's network. */
const bootstrapServers = "kafka-broker-1:9092";

function endpointOf({ region, localstackPort }: LocalSettings): AwsEndpoint {
  const endpoint = process.env.LOCALSTACK_ENDPOINT ?? `http://127.0.0.1:${localstackPort}`;
  return { endpoint, region, accessKeyId: "test", secretAccessKey: "test" };
}

async function deploy(): Promise<void> {
  const settings = localSettings();
  const aws = endpointOf(settings);
  await fetch(aws.endpoint).catch(() => {
    throw new Error(`nothing answers at ${aws.endpoint}: docker compose up -d localstack`);
  });
  process.stdout.write(`Deploying to ${aws.endpoint}: cdk bootstrap, cdk deploy ...\n`);
  const { bucket, stackName } = settings;
  const topics = ["*"];
  const options = { bootstrapServers, bucket, stackName, topics, stage: "localstack" as const };
  const stage = await deployAwsStage(aws, options);
  const names = ["AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"];
  const env = environmentFor(aws);
  const lines = [
    ...Object.entries(stage.stateMachines).map(([name, arn]) => `${name.padEnd(20)}${arn}`),
    `${"bucket".padEnd(20)}${stage.bucket}`,
    "",
    ...names.map((name) => `export ${name}=${env[name]}`),
    `aws stepfunctions start-execution --state-machine-arn ${stage.stateMachines.backup} --input '{}'`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

try {
  await deploy();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
