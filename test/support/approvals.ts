/** Answers to what an execution asks, as a person sends them. */
import { SendTaskFailureCommand, SendTaskSuccessCommand, SFNClient } from "@aws-sdk/client-sfn";
import { vi } from "vitest";
import type { StorageBackend } from "#core/storage/backend.ts";
import type { ResetApproval } from "#core/three-phase/documents.ts";
import { threePhasesOf } from "#core/three-phase/three-phase-record.ts";
import type { AwsEndpoint } from "#local/aws-stage.ts";

/** The question of an execution that waits, as it is in the bucket. */
export async function questionOf(
  storage: StorageBackend,
  backupId: string,
  executionArn: string,
): Promise<ResetApproval> {
  const find = async () => {
    for (const record of await threePhasesOf(storage, backupId)) {
      const attempts = await record.resetCount();
      const asked = attempts === 0 ? undefined : await record.approval(attempts);
      if (asked?.execution_arn === executionArn) return asked;
    }
    throw new Error(`${executionArn} has asked nothing yet`);
  };
  return vi.waitFor(find, { timeout: 120_000, interval: 200 });
}

export async function answer(
  aws: AwsEndpoint,
  { task_token: taskToken }: ResetApproval,
  given: object | { readonly error: string },
): Promise<void> {
  const { endpoint, region, accessKeyId, secretAccessKey } = aws;
  const client = new SFNClient({
    ...{ endpoint, region },
    credentials: { accessKeyId, secretAccessKey },
  });
  try {
    if ("error" in given) await client.send(new SendTaskFailureCommand({ taskToken, ...given }));
    else {
      const output = JSON.stringify(given);
      await client.send(new SendTaskSuccessCommand({ taskToken, output }));
    }
  } finally {
    client.destroy();
  }
}
