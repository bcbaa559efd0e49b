/** A second implementation of S3's protocol. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll } from "vitest";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";
import { startVersitygw } from "#local/versitygw.ts";
import { storageContract } from "#test/contract/storage.ts";

const { endpoint, region, accessKeyId, secretAccessKey, stop } = await startVersitygw();
const bucket = "kafka-backups";

function open(prefix: string) {
  return openStorage(
    {
      backend: "s3",
      bucket,
      prefix,
      endpoint,
      region,
      access_key_id: accessKeyId,
      secret_access_key: secretAccessKey,
    },
    { clock: systemClock },
  );
}

beforeAll(async () => {
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
});
afterAll(stop);

storageContract("s3 on versitygw", () => open("some/prefix"));

storageContract("s3 on versitygw, at the root of a bucket", () => open(""));
