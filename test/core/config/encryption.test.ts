import { expect, test } from "vitest";
import { parseConfig } from "#core/config/parse.ts";
import { parseLocation } from "#core/storage/location.ts";

const parse = (storage: object) =>
  parseConfig(
    JSON.stringify({
      ...{ mode: "backup", backup_id: "orders", storage },
      source: { bootstrap_servers: "kafka:9092", topics: { include: ["orders"] } },
    }),
    { fileName: "backup.yaml", env: {} },
  ).storage;

const s3 = { backend: "s3", bucket: "kafka-backups" };
const key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";

test("S7 a bucket takes a kind of encryption, and KMS a key", () => {
  expect(parse(s3)).not.toHaveProperty("encryption");
  expect(parse({ ...s3, encryption: "sse-s3" })).toMatchObject({ encryption: "sse-s3" });
  const withKey = { encryption: "sse-kms", kms_key_id: key };
  expect(parse({ ...s3, ...withKey })).toMatchObject(withKey);
  expect(parseLocation(`s3://kafka-backups/?encryption=sse-kms&kms_key_id=${key}`)).toMatchObject(
    withKey,
  );
});

test.each([
  [{ ...s3, kms_key_id: key }, "kms_key_id: does nothing without encryption: sse-kms"],
  [{ ...s3, encryption: "sse-s3", kms_key_id: key }, "kms_key_id: does nothing without"],
  [{ ...s3, encryption: "aes" }, "encryption: "],
  [
    { backend: "filesystem", path: "/backups", encryption: "sse-s3" },
    "encryption: does nothing with backend",
  ],
  [{ backend: "memory", encryption: "sse-s3" }, "encryption: does nothing with backend"],
])("S7 %j is refused by the name of its key", (storage, message) => {
  expect(() => parse(storage)).toThrow(message);
});

test.each([
  "s3://kafka-backups/?encryption=aes",
  `s3://kafka-backups/?kms_key_id=${key}`,
  `s3://kafka-backups/?encryption=sse-s3&kms_key_id=${key}`,
])("S7 %s is refused", (location) => {
  expect(() => parseLocation(location)).toThrow(/encryption/);
});
