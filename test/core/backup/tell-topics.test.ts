import { expect, test } from "vitest";
import { tellMatches, warnOfCopies } from "#core/backup/tell-topics.ts";
import type { ClusterDocument, ClusterTopic } from "#core/catalog/manifest.ts";
import { BackupError } from "#core/errors.ts";
import { RestoreRecord } from "#core/restore/restore-record.ts";
import { type Logger, silentLogger } from "#core/runtime.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { openMemory } from "#core/storage/memory.ts";
import { intentOf, topicPlanOf } from "#test/support/restore-requests.ts";

const backup_id = "orders";
const cluster_id = "cluster-of-the-backup";

/** A run's plan as far as it is looked at: these topics, each with an id. */
function planOf(ids: Readonly<Record<string, string>>) {
  const topics = Object.entries(ids).map(([name, topic_id]): ClusterTopic => {
    return { name, topic_id, partition_count: 1, replication_factor: 1, config: {} };
  });
  const cluster: ClusterDocument = {
    ...{ format_version: 1, cluster_id, read_at: 0n, topics },
    ...{ consumer_groups: {}, unread_groups: [], groups_complete: true },
  };
  return { backup_id, cluster };
}

function listening() {
  const lines: string[] = [];
  const logger: Logger = {
    ...silentLogger,
    info: (message) => lines.push(`info ${message}`),
    warn: (message) => lines.push(`warn ${message}`),
  };
  return { logger, lines };
}

async function restoreInto(
  storage: StorageBackend,
  restore_id: string,
  target: { topic: string; id: string; source?: string; cluster?: string },
): Promise<void> {
  const { topic, id, source = "orders", cluster = cluster_id } = target;
  const record = new RestoreRecord(storage, backup_id, restore_id);
  const topics = [topicPlanOf({ source_topic: source, target_topic: topic })];
  await record.writeIntent(intentOf({ backup_id, restore_id, target_cluster_id: cluster, topics }));
  await record.writeTarget({ topic, topic_id: id, created: true, settings_before: {} });
}

const include = ["orders*"];

test("each glob says what it took, names say nothing", () => {
  const { logger, lines } = listening();
  const plan = planOf({ orders: "a", "orders-eu": "b", payments: "c" });
  tellMatches(logger, plan, { include: ["payments", "orders*"], exclude: [] });
  expect(lines).toEqual(['info topics.include "orders*" takes 2: orders, orders-eu']);
});

test("K6: a glob that took nothing, as it may, is told", () => {
  const { logger, lines } = listening();
  tellMatches(logger, planOf({ orders: "a" }), { include: ["orders*", "payments-*"], exclude: [] });
  expect(lines).toEqual([
    'info topics.include "orders*" takes 1: orders',
    'warn topics.include "payments-*" takes no topic',
  ]);
});

test("a glob that took very many names only the first of them", () => {
  const { logger, lines } = listening();
  const ids = Array.from({ length: 23 }, (_, i) => [`orders-${i}`, "a"]);
  tellMatches(logger, planOf(Object.fromEntries(ids)), { include, exclude: [] });
  expect(lines[0]).toMatch(/takes 23: orders-0, .*, orders-19 and 3 more$/);
});

test("a copy that a restore made is warned of, with what to do", async () => {
  const storage = openMemory();
  await restoreInto(storage, "restore-1", { topic: "orders-restored", id: "copy" });
  const { logger, lines } = listening();
  const plan = planOf({ orders: "own", "orders-restored": "copy" });
  await warnOfCopies({ storage, logger }, plan, { include, exclude: [] });
  expect(lines).toEqual([
    "warn topic orders-restored is what restore restore-1 made of orders; " +
      "where it need not be backed up, name it in topics.exclude",
  ]);
});

test.each([
  ["that is named", ["orders", "orders-restored"], { topic: "orders-restored", id: "copy" }],
  ["that was created anew since", include, { topic: "orders-restored", id: "before" }],
  [
    "of the name in another cluster",
    include,
    { topic: "orders-restored", id: "copy", cluster: "b" },
  ],
  ["that was restored under its own name", include, { topic: "orders", id: "own" }],
])("a topic %s is no copy", async (_, patterns, target) => {
  const storage = openMemory();
  await restoreInto(storage, "restore-1", target);
  const { logger, lines } = listening();
  const plan = planOf({ orders: "own", "orders-restored": "copy" });
  await warnOfCopies({ storage, logger }, plan, { include: patterns, exclude: [] });
  expect(lines).toEqual([]);
});

test("K7: restores that cannot be read do not stop a run", async () => {
  const storage = openMemory();
  const denied: StorageBackend = {
    ...storage,
    async *listFolders() {
      yield* [];
      throw new BackupError("AccessDeniedError", "AccessDenied list orders/restores/");
    },
  };
  const { logger, lines } = listening();
  const plan = planOf({ orders: "own" });
  await warnOfCopies({ storage: denied, logger }, plan, { include, exclude: [] });
  expect(lines).toEqual(["warn whether topics are copies that a restore made is not known"]);
});
