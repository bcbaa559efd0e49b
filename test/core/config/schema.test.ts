import { expect, test } from "vitest";
import { configJsonSchema, type JsonSchema } from "#core/config/json-schema.ts";
import { withStorageEnvironment } from "#core/config/storage-environment.ts";
import { suggestionFor } from "#core/config/suggest.ts";
import type { S3Location } from "#core/storage/location.ts";

function keysWithoutDescription(schema: JsonSchema, path: string): string[] {
  const options = (schema.oneOf ?? []).flatMap((option) => keysWithoutDescription(option, path));
  const keys = Object.entries(schema.properties ?? {}).flatMap(([key, property]) => [
    ...(property.description ? [] : [`${path}.${key}`]),
    ...keysWithoutDescription(property, `${path}.${key}`),
  ]);
  return [...options, ...keys];
}

test("every key is described", () => {
  expect(keysWithoutDescription(configJsonSchema(), "")).toEqual([]);
});

test("suggestions are near, and nothing far is suggested", () => {
  const keys = ["time_window_start", "time_window_end", "topic_mapping"];
  expect(suggestionFor("time_windw_end", keys)).toBe("time_window_end");
  expect(suggestionFor("topicmapping", keys)).toBe("topic_mapping");
  expect(suggestionFor("consumer_group_strategy", keys)).toBeUndefined();
  expect(suggestionFor("", keys)).toBeUndefined();
  expect(suggestionFor("x".repeat(100_000), keys)).toBeUndefined();
});

const bucket: S3Location = { backend: "s3", bucket: "b", prefix: "" };
const credentials = { AWS_ACCESS_KEY_ID: "k", AWS_SECRET_ACCESS_KEY: "s", AWS_SESSION_TOKEN: "t" };

test("AWS variables fill what a bucket's configuration leaves open", () => {
  const env = { ...credentials, AWS_REGION: "eu-west-1", AWS_DEFAULT_REGION: "us-west-2" };
  expect(withStorageEnvironment(bucket, env)).toEqual({
    ...bucket,
    region: "eu-west-1",
    path_style: false,
    access_key_id: "k",
    secret_access_key: "s",
    session_token: "t",
  });
});

test("what the configuration says stands over AWS variables", () => {
  const said = { ...bucket, region: "r", access_key_id: "a", secret_access_key: "b" };
  expect(withStorageEnvironment(said, { ...credentials, AWS_REGION: "eu-west-1" })).toEqual({
    ...said,
    path_style: false,
  });
});

test("an endpoint implies path style, wherever it comes from, unless path_style is said", () => {
  const env = { AWS_ENDPOINT_URL: "http://a", AWS_ENDPOINT_URL_S3: "http://b" };
  expect(withStorageEnvironment(bucket, env)).toMatchObject({
    endpoint: "http://b",
    path_style: true,
  });
  const endpoint = "http://c";
  expect(withStorageEnvironment({ ...bucket, endpoint }, {})).toMatchObject({ path_style: true });
  expect(withStorageEnvironment({ ...bucket, path_style: false }, env)).toMatchObject({
    path_style: false,
  });
});

test("credentials come whole from one source, and from the profile where one is named", () => {
  expect(withStorageEnvironment(bucket, { AWS_ACCESS_KEY_ID: "k" })).not.toHaveProperty(
    "access_key_id",
  );
  expect(withStorageEnvironment(bucket, { ...credentials, AWS_PROFILE: "p" })).not.toHaveProperty(
    "access_key_id",
  );
});

test("storages other than S3 take nothing from AWS variables", () => {
  const folder = { backend: "filesystem", path: "/b" } as const;
  expect(withStorageEnvironment(folder, { ...credentials, AWS_REGION: "r" })).toEqual(folder);
});
