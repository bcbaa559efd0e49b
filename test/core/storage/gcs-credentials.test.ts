/** Tokens of Google's metadata server, which is where a process in Google's cloud gets them. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { gcsRequests } from "#core/storage/gcs-requests.ts";

let status = 200;
/** Metadata server and store in one. */
const server = createServer((request, answer) => {
  const isToken = request.url!.includes("/token");
  answer.writeHead(isToken ? status : 200, {
    "content-type": "application/json",
    "metadata-flavor": "Google",
  });
  const token = { access_token: "secret", expires_in: 3_600, token_type: "Bearer" };
  answer.end(isToken ? JSON.stringify(token) : (request.headers.authorization ?? "{}"));
});

beforeEach(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  vi.stubEnv("GCE_METADATA_HOST", `127.0.0.1:${port}`);
  vi.stubEnv("METADATA_SERVER_DETECTION", "assume-present");
  vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", undefined);
  vi.stubEnv("HOME", "/nonexistent");
});

afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function send() {
  const { port } = server.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}`;
  const requests = gcsRequests({ endpoint, isAnonymous: false, storageUrl: "gcs://b/" });
  return requests("read", "a", { method: "GET", url: "/o/a" });
}

test("go with each request", async () => {
  status = 200;
  expect((await send()).body.toString()).toBe("Bearer secret");
});

test.each([
  [503, "StorageUnavailableError"],
  [429, "ThrottledError"],
  [403, "AccessDeniedError"],
])("are refused by %i as %s", async (refusal, name) => {
  status = refusal;
  await expect(send()).rejects.toMatchObject({
    name,
    message: expect.stringContaining("a: cannot read: no credentials"),
  });
});
