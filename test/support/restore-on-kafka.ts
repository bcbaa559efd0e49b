/** Restores of small synthetic backups into the shared broker. */

import { randomBytes } from "node:crypto";
import type { Cluster } from "#core/kafka/cluster.ts";
import { settingsOf } from "#core/kafka/settings-of.ts";
import type { RestoreDeps } from "#core/restore/contract.ts";
import { silentLogger } from "#core/runtime.ts";
import { systemClock } from "#core/system.ts";
import { append } from "#test/support/append.ts";
import {
  type SyntheticBackup,
  type SyntheticRecord,
  syntheticBatch,
} from "#test/support/synthetic-backup.ts";

export function restoreDepsOn(cluster: Cluster, backup: SyntheticBackup): RestoreDeps {
  const { storage, catalog } = backup;
  const newId = () => randomBytes(8).toString("hex");
  return { storage, catalog, cluster, clock: systemClock, logger: silentLogger, newId };
}

/** One segment of one batch whose records are `ageMs` old. */
export function recordsOfAge(ageMs: number, count = 3): Buffer[][] {
  const timestamp = BigInt(Date.now() - ageMs);
  const records = Array.from({ length: count }, (_, i): SyntheticRecord => {
    return { timestamp, key: `key-${i}`, value: `value-${i}` };
  });
  return [[syntheticBatch(0n, records)]];
}

/** The settings that are set on the topic itself. */
export async function ownSettings(
  cluster: Cluster,
  topic: string,
): Promise<Record<string, string | null>> {
  const settings = await settingsOf(cluster, topic);
  return Object.fromEntries(
    settings.filter(({ ofTopic }) => ofTopic).map(({ name, value }) => [name, value]),
  );
}

/** Sends one record of now, as somebody else's producer would. */
export async function sendOne(cluster: Cluster, topic: string): Promise<void> {
  const batch = syntheticBatch(0n, [{ value: "x", timestamp: BigInt(Date.now()) }]);
  await append(cluster, { topic, partition: 0 }, batch);
}
