/**
 * The scripts inside docker-compose.yml, run as they stand by the shells of this machine: Kafka's
 * own tools on a real Kafka, curl on an S3. And `npm run deploy:localstack` against an emulator
 * that stands for LocalStack: what it deploys, and where to.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { installKafkaScripts, pathWith } from "#local/kafka-scripts.ts";
import { composeFile } from "#test/support/compose-file.ts";
import { connectForTests, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { deployedFunctions } from "#test/support/lambda.ts";
import { s3ForTests } from "#test/support/s3.ts";

const root = join(import.meta.dirname, "../../..");
const aws = s3ForTests();

/** As the container would, with what is different here in `env`. Returns what it printed. */
async function runService(name: string, env: Record<string, string>): Promise<string> {
  const { entrypoint, command } = composeFile().services[name]!;
  const [program, ...args] = [...entrypoint!, ...(command as string[])];
  const { stdout } = await promisify(execFile)(program!, args, { env: { ...process.env, ...env } });
  return stdout;
}

test("kafka-setup creates the demos' topics, twice as well as once, and says so last", async () => {
  const [small, large] = [randomName("topic"), randomName("large")];
  const { bootstrapServers } = kafkaForTests();
  const env = {
    PATH: pathWith(await installKafkaScripts()),
    BOOTSTRAP_SERVERS: bootstrapServers,
    DEMO_TOPICS: small,
    LARGE_TOPIC: large,
  };
  for (const _ of [1, 2]) {
    const printed = await runService("kafka-setup", env);
    expect(printed.trimEnd().split("\n").at(-1)).toBe("All demo topics created successfully");
  }
  const cluster = await connectForTests();
  try {
    const topics = await cluster.describeTopics([small, large]);
    expect(topics.map(({ partitions }) => partitions.length)).toEqual([3, 1]);
    const [settings] = await cluster.topicSettings([large]);
    expect(JSON.stringify(settings)).toContain("15728640");
  } finally {
    await cluster.disconnect();
  }
}, 120_000);

test("minio-setup makes the bucket, is content where it exists, and fails without a store", async () => {
  const env = {
    S3_ENDPOINT: aws.endpoint,
    S3_USER: `${aws.accessKeyId}:${aws.secretAccessKey}`,
    BACKUP_BUCKET: randomName("bucket"),
  };
  for (const _ of [1, 2]) {
    expect(await runService("minio-setup", env)).toBe(`Bucket ${env.BACKUP_BUCKET} is there\n`);
  }
  const listed = await fetch(`${aws.endpoint}/${env.BACKUP_BUCKET}`);
  expect(await listed.text()).toContain("ListBucketResult");
  await expect(
    runService("minio-setup", { ...env, S3_ENDPOINT: `${aws.endpoint}/no/such` }),
  ).rejects.toThrow();
}, 120_000);

test("npm run deploy:localstack deploys Lambda's own Node, for containers of this machine", async () => {
  const stackName = `LocalStack${randomName("x").replaceAll(/[^a-z0-9]/g, "")}`;
  const bucket = randomName("bucket");
  const env = {
    ...process.env,
    ...{ LOCALSTACK_ENDPOINT: aws.endpoint, STACK_NAME: stackName, BACKUP_BUCKET: bucket },
  };
  const script = join(root, "local/localstack.ts");
  const { stdout } = await promisify(execFile)(process.execPath, [script], { env, cwd: root });
  expect(stdout).toContain(`export AWS_ENDPOINT_URL=${aws.endpoint}\n`);
  expect(stdout).toMatch(/^backup +arn:aws:states:us-east-1:000000000000:stateMachine:/m);
  expect(stdout).toMatch(new RegExp(`^bucket +${bucket}$`, "m"));

  const ours = await deployedFunctions(aws, stackName);
  expect(ours.length).toBeGreaterThan(5);
  const architecture = process.arch === "arm64" ? "arm64" : "x86_64";
  for (const { Runtime, Architectures, Environment } of ours) {
    expect({ Runtime, Architectures }).toEqual({
      Runtime: "nodejs24.x",
      Architectures: [architecture],
    });
    // LocalStack tells its functions where it is; this machine's address is not theirs.
    expect(JSON.stringify(Environment)).not.toContain(aws.endpoint);
  }
}, 300_000);

test("npm run deploy:localstack says in one line that no LocalStack is there", async () => {
  const env = { ...process.env, LOCALSTACK_ENDPOINT: "http://127.0.0.1:9" };
  const script = join(root, "local/localstack.ts");
  const deploying = promisify(execFile)(process.execPath, [script], { env, cwd: root });
  await expect(deploying).rejects.toMatchObject({
    code: 1,
    stderr: "nothing answers at http://127.0.0.1:9: docker compose up -d localstack\n",
  });
});
