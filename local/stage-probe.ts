/**
 * Asserts of an emulator what the state machines rest on: an error that a function throws reaches
 * their rules by its own name. Where it does not, no error would be repeated or told apart.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DescribeExecutionCommand, SFNClient, StartExecutionCommand } from "@aws-sdk/client-sfn";
import type { AwsEndpoint } from "#local/aws-stage.ts";

/** Refused by every machine's first function. */
const wrongInput = JSON.stringify({ probe: true });
const expected = "InvalidRequestError";
const pollMs = 200;

/** Starts the machine with an input that it has to refuse. Throws where it fails otherwise. */
export async function probeErrorNames(aws: AwsEndpoint, stateMachineArn: string): Promise<void> {
  const { endpoint, region, accessKeyId, secretAccessKey } = aws;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new SFNClient({ endpoint, region, credentials });
  try {
    const { executionArn } = await client.send(
      new StartExecutionCommand({ stateMachineArn, input: wrongInput }),
    );
    for (;;) {
      const ended = await client.send(new DescribeExecutionCommand({ executionArn }));
      if (ended.status === "RUNNING") await sleep(pollMs);
      else if (ended.error === expected) return;
      else throw new Error(`the emulator tells ${ended.error} where ${expected} was thrown`);
    }
  } finally {
    client.destroy();
  }
}
