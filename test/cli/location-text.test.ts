import { expect, test } from "vitest";
import { locationText } from "#cli/location-text.ts";
import { parseLocation, type StorageConfig } from "#core/storage/location.ts";

const endpoint = "http://127.0.0.1:9000";
const locations: readonly StorageConfig[] = [
  { backend: "filesystem", path: "backups/my orders" },
  { backend: "memory", name: "orders" },
  { backend: "s3", bucket: "orders", prefix: "" },
  { backend: "s3", bucket: "orders", prefix: "of 2025/ü?#%" },
  { backend: "s3", bucket: "orders", prefix: "a", endpoint, region: "eu", path_style: false },
  { backend: "s3", bucket: "orders", prefix: "a", encryption: "sse-s3" },
  {
    ...{ backend: "s3", bucket: "orders", prefix: "a", encryption: "sse-kms" },
    kms_key_id: "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
  },
  { backend: "azure", container: "orders", prefix: "of 2025/ü?#%", account: "mine", endpoint },
  { backend: "gcs", bucket: "orders", prefix: "a", endpoint, authentication: "none" },
];

test.each(locations)("--path reads back the storage that was told: %j", (location) => {
  expect(parseLocation(locationText(location))).toEqual(location);
});

test("--path tells nobody the credentials", () => {
  const secrets = { access_key_id: "AKIAKEY", secret_access_key: "hunter2", session_token: "tkn" };
  const text = locationText({ backend: "s3", bucket: "orders", prefix: "a", ...secrets });
  expect(text).toBe("s3://orders/a");
});
