import { expect, test } from "vitest";
import { withStorageEnvironment } from "#core/config/storage-environment.ts";
import { storageConfig } from "#core/config/storage-schema.ts";
import type { AzureLocation, GcsLocation } from "#core/storage/location.ts";

const container: AzureLocation = { backend: "azure", container: "backups", prefix: "" };
const variables = {
  AZURE_STORAGE_ACCOUNT: "mycompany",
  AZURE_STORAGE_KEY: "key",
  AZURE_STORAGE_SAS_TOKEN: "signature",
};
const connection = { AZURE_STORAGE_CONNECTION_STRING: "AccountName=a;AccountKey=b" };

test("Azure's variables fill what a container's configuration leaves open", () => {
  const expected = { ...container, account: "mycompany", account_key: "key" };
  expect(withStorageEnvironment(container, variables)).toEqual(expected);
  const { AZURE_STORAGE_KEY: _, ...withoutKey } = variables;
  expect(withStorageEnvironment(container, withoutKey)).toEqual({
    ...container,
    account: "mycompany",
    sas_token: "signature",
  });
});

test("credentials of a container's configuration stand over all of Azure's variables", () => {
  const given = { ...container, account: "other", sas_token: "own" };
  expect(withStorageEnvironment(given, { ...variables, ...connection })).toEqual(given);
  const connected = { ...container, connection_string: "own" };
  expect(withStorageEnvironment(connected, { ...variables, ...connection })).toEqual(connected);
});

test("a connection string of the environment does not send a named account elsewhere", () => {
  expect(withStorageEnvironment(container, connection)).toEqual({
    ...container,
    connection_string: connection.AZURE_STORAGE_CONNECTION_STRING,
  });
  const named = { ...container, account: "other" };
  expect(withStorageEnvironment(named, connection)).toEqual(named);
});

test("a container without an account is refused", () => {
  expect(() => withStorageEnvironment(container, {})).toThrow(
    expect.objectContaining({
      name: "InvalidRequestError",
      hint: expect.stringContaining("AZURE_STORAGE_ACCOUNT"),
    }),
  );
});

const bucket: GcsLocation = { backend: "gcs", bucket: "backups", prefix: "" };

test.each(["127.0.0.1:4443", "http://127.0.0.1:4443"])(
  "STORAGE_EMULATOR_HOST=%s is an endpoint without credentials",
  (host) => {
    expect(withStorageEnvironment(bucket, { STORAGE_EMULATOR_HOST: host })).toEqual({
      ...bucket,
      endpoint: "http://127.0.0.1:4443",
      authentication: "none",
    });
    const given = { ...bucket, endpoint: "https://storage.example.com" };
    expect(withStorageEnvironment(given, { STORAGE_EMULATOR_HOST: host })).toEqual(given);
  },
);

test.each([
  ["two credentials", { account_key: "a", sas_token: "b" }, "sas_token"],
  ["a connection string and an account", { connection_string: "a", account: "abc" }, "account"],
  ["an endpoint with a signature", { endpoint: "https://a.example.com?sig=x" }, "endpoint"],
  ["a container in capitals", { container: "Backups" }, "container"],
  ["a bucket", { bucket: "b" }, "bucket"],
])("a container with %s is refused", (_name, keys, problem) => {
  const parsed = storageConfig.safeParse({ backend: "azure", container: "backups", ...keys });
  expect(JSON.stringify(parsed.error?.issues)).toContain(problem);
});
