/** DynamoDB behind a proxy that loses answers, refuses, or is not there at all. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openTable } from "#core/catalog/open.ts";
import type { CatalogTable, TableLocation } from "#core/catalog/table.ts";
import { defaultRetryPolicy, type RetryPolicy } from "#core/storage/retrying.ts";
import { systemClock } from "#core/system.ts";
import { startMinistack } from "#local/ministack.ts";
import { collect } from "#test/support/collect.ts";
import { createTable } from "#test/support/dynamodb.ts";
import { type FaultProxy, startFaultProxy } from "#test/support/fault-proxy.ts";
import {
  type Answer,
  type Fate,
  type HttpFaults,
  type Struck,
  startHttpFaults,
} from "#test/support/http-faults.ts";

const ministack = await startMinistack();
const atOnce = { ...defaultRetryPolicy, firstPauseMs: 0 };
const once = { ...defaultRetryPolicy, attemptsMax: 1 };

let faults: HttpFaults;
let proxy: FaultProxy;
let location: TableLocation;
const opened: CatalogTable[] = [];

beforeAll(async () => {
  faults = await startHttpFaults(ministack.endpoint);
  proxy = await startFaultProxy(Number(new URL(ministack.endpoint).port));
});

beforeEach(async () => {
  ({ location } = await createTable(ministack));
});

afterEach(() => {
  faults.strike(() => false, "lost");
  proxy.set(undefined);
  for (const table of opened.splice(0)) table.close();
});

afterAll(async () => {
  await faults.stop();
  await proxy.stop();
  await ministack.stop();
});

async function openAt(endpoint: string, policy: RetryPolicy): Promise<CatalogTable> {
  const table = await openTable({ ...location, endpoint }, { clock: systemClock, policy });
  opened.push(table);
  return table;
}

const requests = (name: string) => (request: Struck) =>
  request.headers["x-amz-target"] === `DynamoDB_20120810.${name}`;

function answer(status: number, body: object): Answer {
  return { status, contentType: "application/x-amz-json-1.0", body: JSON.stringify(body) };
}

const refusal = (status: number, code: string) =>
  answer(status, { __type: `com.amazonaws.dynamodb.v20120810#${code}`, message: "not now" });
const throttled = refusal(400, "ProvisionedThroughputExceededException");

const fates: [string, Fate][] = [
  ["a lost answer", "lost"],
  ["an InternalServerError", refusal(500, "InternalServerError")],
  ["a proxy's page", { status: 200, contentType: "text/html", body: "<h1>Try later</h1>" }],
  ["throttling", throttled],
];

test.each(fates)("C4: each request is sent again after %s", async (_, fate) => {
  const table = await openAt(faults.url, atOnce);
  const struck: (() => number)[] = [];
  const strike = (name: string) => struck.push(faults.strike(requests(name), fate, 3));
  strike("PutItem");
  expect(await table.put({ pk: "a", sk: "b" }, 1)).toBe(true);
  strike("Query");
  expect(await collect(table.query("a", ""))).toEqual([{ pk: "a", sk: "b", order: 1 }]);
  strike("BatchWriteItem");
  await table.delete([{ pk: "a", sk: "b" }]);
  expect(struck.map((count) => count())).toEqual([3, 3, 3]);
  expect(await collect(table.query("a", ""))).toEqual([]);
});

test("C4: an item of a smaller order stays refused when the first answer was lost", async () => {
  const table = await openAt(faults.url, atOnce);
  await table.put({ pk: "a", sk: "b" }, 2);
  const struck = faults.strike(requests("PutItem"), "lost");
  expect(await table.put({ pk: "a", sk: "b" }, 1)).toBe(false);
  expect(struck()).toBe(1);
});

test("C3: many requests at once may all be sent again, and again", async () => {
  const table = await openAt(faults.url, atOnce);
  const struck = faults.strike(requests("PutItem"), "lost", 200);
  const items = Array.from({ length: 50 }, (_, i) => ({ pk: "a", sk: String(i) }));
  await Promise.all(items.map((item) => table.put(item, 1)));
  expect(struck()).toBe(200);
  expect(await collect(table.query("a", ""))).toHaveLength(50);
});

test("what DynamoDB had no room for is deleted later", async () => {
  const table = await openAt(faults.url, atOnce);
  const keys = Array.from({ length: 30 }, (_, i) => ({ pk: "a", sk: String(i) }));
  for (const key of keys) await table.put(key, 1);
  const left = keys.slice(0, 2).map(({ pk, sk }) => ({
    DeleteRequest: { Key: { pk: { S: pk }, sk: { S: sk } } },
  }));
  const noRoom = answer(200, { UnprocessedItems: { [location.table]: left } });
  const struck = faults.strike(requests("BatchWriteItem"), noRoom);
  await table.delete(keys);
  expect(struck()).toBe(1);
  // The proxy swallowed the first batch but for what it gave back.
  const remaining = await collect(table.query("a", ""));
  expect(remaining.map(({ sk }) => Number(sk)).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 23 }, (_, i) => i + 2),
  );
});

test("what is throttled for good is told by name", async () => {
  const table = await openAt(faults.url, { ...atOnce, attemptsMax: 3 });
  const struck = faults.strike(requests("PutItem"), throttled, Number.POSITIVE_INFINITY);
  await expect(table.put({ pk: "a", sk: "b" }, 1)).rejects.toMatchObject({
    name: "ThrottledError",
    message: expect.stringContaining(location.table),
  });
  expect(struck()).toBe(3);
});

test.each([
  ["refuses", { kind: "refuse" }, /ECONNRE/],
  ["answers nothing", { kind: "silent" }, /TimeoutError/],
] as const)(
  "C3: a table that %s is an error that may pass",
  async (_, fault, reason) => {
    const table = await openAt(`http://${proxy.address}`, once);
    await table.put({ pk: "a", sk: "b" }, 1);
    proxy.set(fault);
    await expect(table.put({ pk: "a", sk: "b" }, 1)).rejects.toMatchObject({
      name: "StorageUnavailableError",
      message: expect.stringMatching(reason),
    });
    proxy.set(undefined);
    expect(await table.put({ pk: "a", sk: "b" }, 1)).toBe(true);
  },
  30_000,
);

test("C3: connections that a gateway has forgotten cost one attempt, however many wait", async () => {
  const table = await openAt(`http://${proxy.address}`, { ...defaultRetryPolicy, attemptsMax: 2 });
  const items = Array.from({ length: 8 }, (_, i) => ({ pk: "a", sk: String(i) }));
  await Promise.all(items.map((item) => table.put(item, 1)));
  proxy.set({ kind: "half-open" });
  proxy.set(undefined);
  expect(await collect(table.query("a", ""))).toHaveLength(items.length);
}, 60_000);
