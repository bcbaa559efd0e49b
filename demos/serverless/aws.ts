/**
 * The words of the AWS command line that these demos use, for machines without it: the same
 * arguments, the same answers.
 *
 *   node aws.ts stepfunctions start-execution --state-machine-arn ARN --input JSON
 *   node aws.ts stepfunctions describe-execution --execution-arn ARN
 *   node aws.ts stepfunctions list-executions --state-machine-arn ARN
 *   node aws.ts stepfunctions send-task-success --task-token TOKEN --task-output JSON
 *   node aws.ts s3 ls --recursive s3://BUCKET/PREFIX
 *   node aws.ts s3 cp s3://BUCKET/KEY -
 */
import { parseArgs } from "node:util";
import { GetObjectCommand, paginateListObjectsV2, S3Client } from "@aws-sdk/client-s3";
import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
} from "@aws-sdk/client-sfn";

/** Endpoint, region and credentials are those of the environment. */
const stepFunctions = new SFNClient();
const s3 = new S3Client({ forcePathStyle: process.env.AWS_ENDPOINT_URL !== undefined });

type Options = Readonly<Record<string, string | undefined>>;

const commands: Readonly<Record<string, (options: Options) => Promise<unknown>>> = {
  "start-execution": (given) =>
    stepFunctions.send(
      new StartExecutionCommand({
        stateMachineArn: wanted(given, "state-machine-arn"),
        input: given.input,
      }),
    ),
  "describe-execution": (given) =>
    stepFunctions.send(
      new DescribeExecutionCommand({ executionArn: wanted(given, "execution-arn") }),
    ),
  "list-executions": (given) =>
    stepFunctions.send(
      new ListExecutionsCommand({ stateMachineArn: wanted(given, "state-machine-arn") }),
    ),
  "send-task-success": (given) =>
    stepFunctions.send(
      new SendTaskSuccessCommand({
        taskToken: wanted(given, "task-token"),
        output: wanted(given, "task-output"),
      }),
    ),
};

function wanted(given: Options, name: string): string {
  const value = given[name];
  if (value === undefined) throw new Error(`--${name} is required`);
  return value;
}

async function runStepFunctions([name = "", ...rest]: readonly string[]): Promise<void> {
  const command = commands[name];
  if (command === undefined) throw new Error(`there is no stepfunctions ${name} in here`);
  const names = ["state-machine-arn", "execution-arn", "input", "task-token", "task-output"];
  const options = Object.fromEntries(names.map((each) => [each, { type: "string" as const }]));
  const { values } = parseArgs({ args: [...rest], options });
  const { $metadata, ...answer } = (await command(values as Options)) as Record<string, unknown>;
  if (Object.keys(answer).length > 0) print(JSON.stringify(answer, undefined, 4));
}

function placeOf(url = ""): { readonly Bucket: string; readonly key: string } {
  const [, bucket, key] = /^s3:\/\/([^/]+)\/?(.*)$/.exec(url) ?? [];
  if (bucket === undefined || key === undefined) throw new Error(`"${url}" is not s3://BUCKET/KEY`);
  return { Bucket: bucket, key };
}

async function listObjects(url: string | undefined): Promise<void> {
  const { Bucket, key: Prefix } = placeOf(url);
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix })) {
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      const time = LastModified?.toISOString().slice(0, 19).replace("T", " ");
      print(`${time} ${String(Size).padStart(10)} ${Key}`);
    }
  }
}

async function printObject(url: string | undefined): Promise<void> {
  const { Bucket, key } = placeOf(url);
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key: key }));
  process.stdout.write(await Body!.transformToByteArray());
}

const print = (text: string) => process.stdout.write(`${text}\n`);

async function main([service, ...rest]: string[]): Promise<void> {
  if (service === "stepfunctions") return runStepFunctions(rest);
  const [name, first, second] = rest;
  if (service === "s3" && name === "ls" && first === "--recursive") return listObjects(second);
  if (service === "s3" && name === "cp" && second === "-") return printObject(first);
  throw new Error(`there is no ${[service, name].join(" ")} in here`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const told = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  process.stderr.write(`${told}\n`);
  process.exitCode = 1;
}
