import { expect, test } from "vitest";
import { BackupError } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { OffsetSnapshot } from "#core/offsets/contract.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import type { ThreePhaseDeps } from "#core/three-phase/contract.ts";
import { ThreePhaseRecord } from "#core/three-phase/three-phase-record.ts";
import { undoReset } from "#core/three-phase/undo-reset.ts";
import { FakeClock } from "#test/support/fake-clock.ts";

test("R8: groups are left as they are while nobody says which topics there are", async () => {
  const storage = openFilesystem("test/fixtures/v1/three-phase");
  const record = new ThreePhaseRecord(storage, "golden", "20261121T080332Z-55fde9f4");
  const plan = (await record.plan(1))!;
  const asked: string[] = [];
  const cluster = new Proxy({} as Cluster, {
    get: (_, name) => async () => {
      asked.push(String(name));
      throw new BackupError("BrokerUnavailableError", "no broker answers");
    },
  });
  const deps = { cluster, clock: new FakeClock() } as unknown as ThreePhaseDeps;
  const snapshot = { consumer_groups: {}, topics: {} } as unknown as OffsetSnapshot;
  const undone = await undoReset(deps, snapshot, plan);
  expect(undone).toEqual(
    plan.groups.map(({ group }) => ({
      ...{ group, status: "not_rolled_back", reason: "no broker answers" },
    })),
  );
  expect(undone.length).toBeGreaterThan(0);
  expect(asked).toEqual(["describeTopics"]);
});
