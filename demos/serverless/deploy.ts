/**
 * Deploys a configuration by `cdk deploy` into the AWS emulator that AWS_ENDPOINT_URL names, as
 * `npx cdk deploy -c config=FILE` does into an account, and prints as JSON where everything is.
 *
 *   node deploy.ts FILE STACK > stage.json
 *   node deploy.ts --delete STACK                  all of it but bucket and table, as on AWS
 *
 * The emulator's own S3 is where the file's bucket is made. What functions find under another name
 * than this machine, as containers of LocalStack do, says FUNCTIONS_BOOTSTRAP_SERVERS.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { parse } from "yaml";
import { type AwsEndpoint, deployConfigurations, storagePlace } from "#local/aws-stage.ts";

const pollMs = 500;

async function emulator(): Promise<AwsEndpoint> {
  const { AWS_ENDPOINT_URL: endpoint, AWS_REGION: region = "us-east-1" } = process.env;
  if (endpoint === undefined) {
    throw new Error(
      "AWS_ENDPOINT_URL names no emulator; into an account: npx cdk deploy -c config=FILE",
    );
  }
  await fetch(endpoint).catch(() => {
    throw new Error(`no AWS emulator answers at ${endpoint}, which AWS_ENDPOINT_URL names`);
  });
  return { endpoint, region, accessKeyId: "test", secretAccessKey: "test" };
}

async function deploy(file: string, stackName: string): Promise<void> {
  const aws = await emulator();
  const { FUNCTIONS_BOOTSTRAP_SERVERS: inContainers } = process.env;
  const stage = inContainers === undefined ? "local" : "localstack";
  const backup = parse(readFileSync(file, "utf8"));
  const deployed = await deployConfigurations(aws, {
    ...{ stackName, stage },
    backup: { ...backup, storage: { ...backup.storage, ...storagePlace(aws, stage) } },
    ...(inContainers !== undefined && { env: { BOOTSTRAP_SERVERS: inContainers } }),
  });
  process.stdout.write(`${JSON.stringify(deployed, undefined, 2)}\n`);
}

/** Returns when the stack is gone, its schedules among it. An emulator checks no signature. */
async function deleteStack(StackName: string): Promise<void> {
  const { endpoint, region, accessKeyId } = await emulator();
  const scope = `${accessKeyId}/20260101/${region}/cloudformation/aws4_request`;
  const call = async (Action: string) => {
    const response = await fetch(endpoint, {
      method: "POST",
      headers: {
        Authorization: `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`,
      },
      body: new URLSearchParams({ Action, StackName, Version: "2010-05-15" }),
    });
    return { isOk: response.ok, text: await response.text() };
  };
  const deleted = await call("DeleteStack");
  if (!deleted.isOk) throw new Error(`stack ${StackName} is not deleted: ${deleted.text}`);
  for (;;) {
    const { isOk, text } = await call("DescribeStacks");
    if (!isOk || text.includes("DELETE_COMPLETE")) return;
    if (text.includes("DELETE_FAILED")) throw new Error(`stack ${StackName} is not deleted`);
    await sleep(pollMs);
  }
}

// A signal ends the CDK, which is in the same group; what it made is removed before this ends.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
const [file, stackName] = process.argv.slice(2);
try {
  if (file === undefined || stackName === undefined) {
    throw new Error("arguments: FILE STACK, or --delete STACK");
  }
  await (file === "--delete" ? deleteStack(stackName) : deploy(file, stackName));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
