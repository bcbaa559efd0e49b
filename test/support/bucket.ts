/** A bucket of its own on the shared S3 emulator. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import type { Catalog } from "#core/catalog/catalog.ts";
import { openCatalog } from "#core/catalog/open.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openStorage } from "#core/storage/open.ts";
import { randomId, systemClock } from "#core/system.ts";
import { randomName } from "#test/support/kafka.ts";
import { s3ForTests } from "#test/support/s3.ts";

export interface TestBucket {
  readonly storage: StorageBackend;
  readonly catalog: Catalog;
  /** The `storage` section of a configuration, by way of a proxy's endpoint where one is given. */
  location(endpoint?: string): unknown;
}

export async function createBucket(): Promise<TestBucket> {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  const bucket = randomName("bucket");
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  const storage = await storageIn(bucket);
  return {
    storage,
    catalog: openCatalog({ storage, clock: systemClock, newId: randomId }),
    location: (by = endpoint) => ({ backend: "s3", bucket, endpoint: by, region }),
  };
}

/** A bucket of the shared S3 emulator, as the command line opens it. */
export function storageIn(bucket: string): Promise<StorageBackend> {
  const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
  return openStorage(
    {
      ...{ backend: "s3", bucket, prefix: "", endpoint, region },
      ...{ access_key_id: accessKeyId, secret_access_key: secretAccessKey },
    },
    { clock: systemClock },
  );
}
