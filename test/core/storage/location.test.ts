import { describe, expect, test } from "vitest";
import { parseLocation } from "#core/storage/location.ts";

describe("a location", () => {
  test.each([
    ["/var/backups", { backend: "filesystem", path: "/var/backups" }],
    ["backups", { backend: "filesystem", path: "backups" }],
    ["./with:colon", { backend: "filesystem", path: "./with:colon" }],
    ["file:///var/my%20backups", { backend: "filesystem", path: "/var/my backups" }],
    ["memory:test", { backend: "memory", name: "test" }],
    ["memory:", { backend: "memory", name: "default" }],
    ["s3://bucket", { backend: "s3", bucket: "bucket", prefix: "" }],
    ["s3://bucket/a/b/", { backend: "s3", bucket: "bucket", prefix: "a/b" }],
    ["s3://bucket/a%20b", { backend: "s3", bucket: "bucket", prefix: "a b" }],
    [
      "s3://my.bucket/p?endpoint=http://127.0.0.1:9000&region=eu-central-1&path_style=false",
      {
        backend: "s3",
        bucket: "my.bucket",
        prefix: "p",
        endpoint: "http://127.0.0.1:9000",
        region: "eu-central-1",
        path_style: false,
      },
    ],
    ["azure://backups", { backend: "azure", container: "backups", prefix: "" }],
    [
      "azure://backups/p/q?account=mycompany&endpoint=http://127.0.0.1:10000/mycompany",
      {
        backend: "azure",
        container: "backups",
        prefix: "p/q",
        account: "mycompany",
        endpoint: "http://127.0.0.1:10000/mycompany",
      },
    ],
    ["gs://my_bucket.of.ours/p", { backend: "gcs", bucket: "my_bucket.of.ours", prefix: "p" }],
    [
      "gs://bucket?endpoint=http://127.0.0.1:4443&authentication=none",
      {
        backend: "gcs",
        bucket: "bucket",
        prefix: "",
        endpoint: "http://127.0.0.1:4443",
        authentication: "none",
      },
    ],
  ])("%s is understood", (location, config) => {
    expect(parseLocation(location)).toEqual(config);
  });

  test.each([
    ["", "empty"],
    ["http://bucket", "http:"],
    ["azure://Container", "container"],
    ["azure://two--dashes", "container"],
    ["azure://container?account=Upper", "account"],
    ["gs://b", "bucket name"],
    ["gs://bucket?region=x", "region"],
    ["gs://bucket?authentication=maybe", "authentication"],
    ["s3:bucket", "bucket name"],
    ["s3://", "bucket name"],
    ["s3://Under_Score", "bucket name"],
    ["s3://bucket/a//b", "prefix"],
    ["s3://bucket/a%2F..%2F..", "prefix"],
    ["s3://bucket?reggion=x", "reggion"],
    ["s3://bucket?region=a&region=b", "twice"],
    ["s3://bucket?path_style=yes", "path_style"],
    ["s3://bucket?endpoint=ftp://x", "endpoint"],
    ["s3://bucket?endpoint=nothing", "endpoint"],
    ["file://host/path", "file URL"],
  ])("%j is refused: %s", (location, reason) => {
    expect(() => parseLocation(location)).toThrow(
      expect.objectContaining({
        name: "InvalidRequestError",
        message: expect.stringContaining(reason),
      }),
    );
  });

  test.each([
    "s3://key:hunter2@bucket/p",
    "s3://bucket?endpoint=http://key:hunter2@127.0.0.1:9000",
    "s3://bucket?secret_access_key=hunter2",
    "azure://container?account_key=hunter2",
    "azure://container?endpoint=https%3A%2F%2Fa.example.com%3Fsig%3Dhunter2",
    "gs://hunter2@bucket",
  ])("S5: with a secret in it is refused without repeating the secret: %s", (location) => {
    expect(() => parseLocation(location)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining("hunter2") }),
    );
  });
});
