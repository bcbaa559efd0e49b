/** A bucket whose default retention locks all that is written: no run may mind. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutObjectLockConfigurationCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import { appendNumbered } from "#test/support/append.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";

const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
const bucket = randomName("locked");
const backupId = randomName("orders");
let s3: S3Client;
let cluster: Cluster;
let folder: string;
let topic: string;

beforeAll(async () => {
  const credentials = { accessKeyId, secretAccessKey };
  s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: true }));
  const retention = { DefaultRetention: { Mode: "COMPLIANCE", Days: 1 } } as const;
  await s3.send(
    new PutObjectLockConfigurationCommand({
      Bucket: bucket,
      ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule: retention },
    }),
  );
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-locked-"));
  cluster = await connectForTests();
  topic = await createTopic(cluster);
});

afterAll(async () => {
  s3.destroy();
  await cluster?.disconnect();
  await rm(folder, { recursive: true, force: true });
});

async function command(...args: string[]): Promise<{ code: number; result: unknown }> {
  const env = {
    ...process.env,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
  };
  const running = promisify(execFile)(
    process.execPath,
    ["bin/kafka-backup", ...args, "--format", "json"],
    { env },
  );
  const { code, stdout } = await running.then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string }) => error,
  );
  return { code, result: JSON.parse(stdout) };
}

async function backUp(): Promise<unknown> {
  const config = join(folder, "backup.json");
  const source = {
    bootstrap_servers: kafkaForTests().bootstrapServers,
    topics: { include: [topic] },
  };
  const storage = { backend: "s3", bucket, endpoint, region };
  await writeFile(config, JSON.stringify({ mode: "backup", backup_id: backupId, source, storage }));
  return (await command("backup", "--config", config)).result;
}

const path = `s3://${bucket}?endpoint=${endpoint}`;
const validate = () => command("validate", "--path", path, "--backup-id", backupId, "--deep");

describe("S7 Object Lock as the bucket's default", () => {
  test("lets leases, checkpoints and manifests come and go, run after run", async () => {
    await appendNumbered(cluster, { topic, from: 0, count: 100 });
    expect(await backUp()).toMatchObject({ status: "done", generation: 1, record_count: 100 });
    await appendNumbered(cluster, { topic, from: 100, count: 50 });
    expect(await backUp()).toMatchObject({ status: "done", generation: 2, record_count: 50 });
    expect(await backUp()).toMatchObject({ status: "done", generation: 3, record_count: 0 });
    expect(await validate()).toMatchObject({ code: 0, result: { status: "sound" } });
  }, 120_000);

  test("keeps a segment that somebody removes, and gives it back without its delete marker", async () => {
    const { Versions = [] } = await s3.send(
      new ListObjectVersionsCommand({ Bucket: bucket, Prefix: `${backupId}/topics/` }),
    );
    const segment = Versions.find(({ Key }) => Key?.endsWith(".zst"));
    const at = { Bucket: bucket, Key: segment!.Key };
    const removing = s3.send(new DeleteObjectCommand({ ...at, VersionId: segment!.VersionId }));
    await expect(removing).rejects.toMatchObject({ name: "AccessDenied" });
    const hidden = await s3.send(new DeleteObjectCommand(at));
    expect(hidden.DeleteMarker).toBe(true);
    expect(await validate()).toMatchObject({ code: 13, result: { status: "damaged" } });
    await s3.send(new DeleteObjectCommand({ ...at, VersionId: hidden.VersionId }));
    expect(await validate()).toMatchObject({ code: 0, result: { status: "sound" } });
  }, 120_000);
});
