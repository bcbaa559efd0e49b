/** Azure Blob Storage, as Microsoft's emulator plays it. */
import { randomBytes } from "node:crypto";
import {
  ContainerClient,
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from "@azure/storage-blob";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BackupError } from "#core/errors.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import type { AzureLocation } from "#core/storage/location.ts";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";
import { startAzurite } from "#local/azurite.ts";
import { storageContract } from "#test/contract/storage.ts";
import { givesUpOnSilence } from "#test/servers/silence.ts";
import { type HttpFaults, startHttpFaults } from "#test/support/http-faults.ts";

const { endpoint, account, accountKey, stop } = await startAzurite();
const container = "kafka-backups";
const key = new StorageSharedKeyCredential(account, accountKey);
const client = new ContainerClient(`${endpoint}/${container}`, key);

const location: AzureLocation = {
  backend: "azure",
  container,
  prefix: "some/prefix",
  endpoint,
  account,
  account_key: accountKey,
};

const fewAttempts = { attemptsMax: 4, firstPauseMs: 1, pauseMsMax: 1, totalMsMax: 60_000 };

function open(changes: Partial<AzureLocation> = {}): Promise<StorageBackend> {
  return openStorage({ ...location, ...changes }, { clock: systemClock, policy: fewAttempts });
}

beforeAll(async () => {
  await client.create();
});
afterAll(stop);

storageContract("azure", () => open(), { order: "utf-16" });

storageContract("azure, at the root of a container", () => open({ prefix: "" }), {
  order: "utf-16",
});

describe("credentials", () => {
  const withoutKey = { ...location, account_key: undefined };
  const expiresOn = new Date(Date.now() + 3_600_000);
  const signature = (permissions: string) =>
    generateBlobSASQueryParameters(
      {
        containerName: container,
        permissions: ContainerSASPermissions.parse(permissions),
        expiresOn,
      },
      key,
    ).toString();

  test.each(["", "?"])("are a signature, as it stands behind a URL with %j", async (mark) => {
    const storage = await open({ ...withoutKey, sas_token: mark + signature("rwdlc") });
    await storage.put("signed", Buffer.from("1"));
    expect((await storage.get("signed")).toString()).toBe("1");
  });

  test("are a connection string", async () => {
    const text = `DefaultEndpointsProtocol=http;AccountName=${account};AccountKey=${accountKey};BlobEndpoint=${endpoint};`;
    const { backend, container, prefix } = location;
    const storage = await openStorage(
      { backend, container, prefix, connection_string: text },
      { clock: systemClock },
    );
    await storage.put("connected", Buffer.from("1"));
    expect((await storage.get("connected")).toString()).toBe("1");
  });

  test("S5: that are no connection string are refused without being repeated", async () => {
    const opening = open({ ...withoutKey, connection_string: "hunter2" });
    const error = await opening.then(
      () => undefined,
      (reason: BackupError) => reason,
    );
    expect(error).toMatchObject({ name: "InvalidRequestError" });
    expect(`${error?.message} ${error?.hint} ${error?.cause}`).not.toContain("hunter2");
  });

  test.each([
    ["a wrong key", { account_key: randomBytes(64).toString("base64") }],
    ["a signature that allows reading only", { account_key: undefined }],
  ])("S5: %s is refused by name, and not repeated in the error", async (_name, changes) => {
    const given: Partial<AzureLocation> =
      changes.account_key === undefined ? { ...changes, sas_token: signature("r") } : changes;
    const storage = await open(given);
    const refused = await storage.put("denied", Buffer.from("1")).then(
      () => undefined,
      (reason: BackupError) => reason,
    );
    expect(refused).toMatchObject({
      name: "AccessDeniedError",
      message: expect.stringMatching(/denied: cannot write: Auth/),
    });
    const secret = new URLSearchParams(given.sas_token).get("sig") ?? given.account_key;
    expect(`${refused?.message} ${refused?.hint}`).not.toContain(secret);
  });
});

test("says that a container does not exist", async () => {
  const storage = await open({ container: "no-such-container" });
  const expected = {
    name: "InvalidRequestError",
    message: expect.stringContaining("ContainerNotFound"),
    hint: expect.stringContaining("container"),
  };
  await expect(storage.put("a", Buffer.from("1"))).rejects.toMatchObject(expected);
  await expect(storage.get("a")).rejects.toMatchObject(expected);
  await expect(storage.list("")[Symbol.asyncIterator]().next()).rejects.toMatchObject(expected);
});

test("gives up on an endpoint that nobody serves, after repeating", async () => {
  const nobody = await open({ endpoint: `http://127.0.0.1:1/${account}` });
  await expect(nobody.get("a")).rejects.toMatchObject({
    name: "StorageUnavailableError",
    message: expect.stringContaining("ECONNREFUSED"),
  });
});

givesUpOnSilence(endpoint, (address) =>
  openStorage(
    { ...location, endpoint: `http://${address}/${account}` },
    { clock: systemClock, policy: { ...fewAttempts, attemptsMax: 1 } },
  ),
);

describe("behind a proxy that loses answers", () => {
  let faults: HttpFaults;
  let storage: StorageBackend;

  beforeAll(async () => {
    faults = await startHttpFaults(new URL(endpoint).origin);
    storage = await open({ endpoint: `${faults.url}/${account}`, prefix: "faults" });
  });
  afterAll(() => faults.stop());

  const isBlock = (url: string) => url.includes("comp=block&");
  const isCommit = (url: string) => url.includes("comp=blocklist");

  test.each(["lost", 503] as const)("C2, C4: a create is done by us after %s", async (fate) => {
    const struck = faults.strike(({ method }) => method === "PUT", fate);
    expect(await storage.createIfAbsent(`ours-${fate}`, Buffer.from("ours"))).toBe("created");
    expect(struck()).toBe(1);
  });

  test("C4: a create whose answer was lost is another's when the content differs", async () => {
    await storage.createIfAbsent("theirs", Buffer.from("theirs"));
    faults.strike(({ method }) => method === "PUT", "lost");
    expect(await storage.createIfAbsent("theirs", Buffer.from("ours"))).toBe("exists");
  });

  test.each(["lost", 503] as const)("C4: blocks are sent again after %s", async (fate) => {
    const body = randomBytes(20 * 1024 * 1024);
    const struck = faults.strike(({ url }) => isBlock(url), fate, 2);
    const writer = await storage.createStream(`blocks-${fate}`);
    await writer.write(body);
    expect(await writer.commit()).toBe("created");
    expect(struck()).toBe(2);
    expect((await storage.get(`blocks-${fate}`)).equals(body)).toBe(true);
  });

  test.each(["lost", 503] as const)("C2, C4: a commit is done by us after %s", async (fate) => {
    const body = randomBytes(9 * 1024 * 1024);
    const struck = faults.strike(({ url }) => isCommit(url), fate, 2);
    const writer = await storage.createStream(`commit-${fate}`);
    await writer.write(body);
    expect(await writer.commit()).toBe("created");
    expect(struck()).toBe(2);
    expect((await storage.get(`commit-${fate}`)).equals(body)).toBe(true);
  });

  test("C4: a commit whose answer was lost is another's when another's blob is there", async () => {
    const writer = await storage.createStream("commit-theirs");
    await writer.write(randomBytes(9 * 1024 * 1024));
    await storage.createIfAbsent("commit-theirs", Buffer.from("theirs"));
    faults.strike(({ url }) => isCommit(url), "lost");
    expect(await writer.commit()).toBe("exists");
    expect((await storage.get("commit-theirs")).toString()).toBe("theirs");
  });
});
