/** Google Cloud Storage, as fake-gcs-server plays it. */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { StorageBackend } from "#core/storage/backend.ts";
import type { GcsLocation } from "#core/storage/location.ts";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";
import { startFakeGcsServer } from "#local/fake-gcs-server.ts";
import { freePort } from "#local/processes.ts";
import { storageContract } from "#test/contract/storage.ts";
import { givesUpOnSilence } from "#test/servers/silence.ts";
import { type HttpFaults, startHttpFaults } from "#test/support/http-faults.ts";

const server = await startFakeGcsServer();
const { endpoint } = server;
const bucket = "kafka-backups";
const location: GcsLocation = {
  backend: "gcs",
  bucket,
  prefix: "some/prefix",
  endpoint,
  authentication: "none",
};
const fewAttempts = { attemptsMax: 4, firstPauseMs: 1, pauseMsMax: 1, totalMsMax: 60_000 };

function open(changes: Partial<GcsLocation> = {}): Promise<StorageBackend> {
  return openStorage({ ...location, ...changes }, { clock: systemClock, policy: fewAttempts });
}

beforeAll(() => server.createBucket(bucket));
afterAll(() => server.stop());

storageContract("gcs", () => open());

storageContract("gcs, at the root of a bucket", () => open({ prefix: "" }));

describe("gcs alone", () => {
  test.each([
    ["whole parts", 16 * 1024 * 1024],
    ["whole units of a piece, but not of a part", 8 * 1024 * 1024 + 512 * 1024],
    ["whole units of a piece and a byte", 8 * 1024 * 1024 + 256 * 1024 + 1],
    ["a part and a byte", 8 * 1024 * 1024 + 1],
  ])("stores a stream of %s", async (_name, size) => {
    const storage = await open();
    const bytes = randomBytes(size);
    const writer = await storage.createStream(`sized/${size}`);
    await writer.write(bytes);
    expect(await writer.commit()).toBe("created");
    expect((await storage.get(`sized/${size}`)).equals(bytes)).toBe(true);
  });

  test("gives up on an endpoint that nobody serves, after repeating", async () => {
    const nobody = await open({ endpoint: `http://127.0.0.1:${await freePort()}` });
    await expect(nobody.get("a")).rejects.toMatchObject({
      name: "StorageUnavailableError",
      message: expect.stringContaining("some/prefix: a: cannot read: ECONNREFUSED"),
    });
  });

  test("names what is missing where there are no credentials", async () => {
    const before = process.env.GOOGLE_APPLICATION_CREDENTIALS;
    process.env.GOOGLE_APPLICATION_CREDENTIALS = "/nowhere/credentials.json";
    try {
      const storage = await open({ authentication: "default" });
      await expect(storage.get("a")).rejects.toMatchObject({
        name: "AccessDeniedError",
        message: expect.stringContaining("no credentials"),
        hint: expect.stringContaining("GOOGLE_APPLICATION_CREDENTIALS"),
      });
    } finally {
      if (before === undefined) delete process.env.GOOGLE_APPLICATION_CREDENTIALS;
      else process.env.GOOGLE_APPLICATION_CREDENTIALS = before;
    }
  });
});

/**
 * Where an answer to a piece in the middle of an upload is lost, the service passes over the bytes
 * that it has. The emulator appends them a second time, so that is not tried here.
 */
describe("behind a proxy that loses answers", () => {
  let faults: HttpFaults;
  let storage: StorageBackend;

  beforeAll(async () => {
    faults = await startHttpFaults(endpoint);
    storage = await open({ endpoint: faults.url, prefix: "faults" });
  });
  afterAll(() => faults.stop());

  const isWhole = (url: string) => url.includes("uploadType=multipart");

  test.each(["lost", 503] as const)("C2, C4: a create is done by us after %s", async (fate) => {
    const struck = faults.strike(({ url }) => isWhole(url), fate);
    expect(await storage.createIfAbsent(`ours-${fate}`, Buffer.from("ours"))).toBe("created");
    expect(struck()).toBe(1);
  });

  test("C4: a create whose answer was lost is another's when the content differs", async () => {
    await storage.createIfAbsent("theirs", Buffer.from("theirs"));
    faults.strike(({ url }) => isWhole(url), "lost");
    expect(await storage.createIfAbsent("theirs", Buffer.from("ours"))).toBe("exists");
  });

  test.each(["lost", 503] as const)(
    "C2, C4: a small stream is committed by us after %s",
    async (fate) => {
      const struck = faults.strike(({ url }) => isWhole(url), fate, 2);
      const writer = await storage.createStream(`small-${fate}`);
      await writer.write(Buffer.from("small"));
      expect(await writer.commit()).toBe("created");
      expect(struck()).toBe(2);
    },
  );
});

givesUpOnSilence(endpoint, (address) =>
  openStorage(
    { ...location, endpoint: `http://${address}` },
    { clock: systemClock, policy: { ...fewAttempts, attemptsMax: 1 } },
  ),
);

test("C4: an answer that is lost at the beginning or the end of a long upload changes nothing", async () => {
  // The emulator names itself in a session's URL, and so the proxy is out of the way from there on.
  const faults = await startHttpFaults(endpoint);
  const storage = await open({ endpoint: faults.url, prefix: "long" });
  const body = randomBytes(20 * 1024 * 1024 + 3);
  const struck = faults.strike(({ url }) => url.includes("uploadType=resumable"), "lost", 2);
  const writer = await storage.createStream("upload");
  await writer.write(body);
  expect(await writer.commit()).toBe("created");
  expect(struck()).toBe(2);
  expect((await storage.get("upload")).equals(body)).toBe(true);
  await faults.stop();
});
