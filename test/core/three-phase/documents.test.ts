/** Documents of three-phase restores: what is read for ever, and what is refused. */
import { expect, test } from "vitest";
import { toPrettyJson } from "#core/json.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import { openMemory } from "#core/storage/memory.ts";
import { ThreePhaseRecord, threePhasesOf } from "#core/three-phase/three-phase-record.ts";

const id = "20261121T080332Z-55fde9f4";
const folder = `golden/three-phase/${id}`;

/** After a reset that failed and one that did not. */
test("I3: version 1: every document of a three-phase restore is read as it was written", async () => {
  const storage = openFilesystem("test/fixtures/v1/three-phase");
  const [record] = await threePhasesOf(storage, "golden");
  expect(record!.id).toBe(id);
  expect(await record!.resetCount()).toBe(2);
  expect(await record!.isOver()).toBe(true);
  const documents = {
    "intent.json": await record!.intent(),
    "snapshot.json": await record!.snapshot(),
    "restored.json": await record!.restored(),
    "report.json": await record!.report(),
    "resets/00000001/plan.json": await record!.plan(1),
    "resets/00000001/rolled-back.json": await record!.rolledBack(1),
    "resets/00000002/plan.json": await record!.plan(2),
  };
  for (const [name, document] of Object.entries(documents)) {
    const stored = JSON.parse((await storage.get(`${folder}/${name}`)).toString());
    expect(JSON.parse(toPrettyJson(document)), name).toEqual(stored);
  }
  expect(await record!.resetSnapshot(1), "attempts had none of their own then").toBeUndefined();
  expect(documents["report.json"]).toMatchObject({
    earlier_resets: 1,
    groups: [{ group: "billing", partitions: [{ source_offset: 4n, committed_offset: 4n }] }],
  });
});

test("I3: a report of a newer format is refused by name", async () => {
  const storage = openMemory();
  await storage.put(`${folder}/report.json`, Buffer.from('{"format_version": 2}'));
  const record = new ThreePhaseRecord(storage, "golden", id);
  await expect(record.report()).rejects.toMatchObject({ name: "UnsupportedFormatVersionError" });
});

test("a damaged intent is named with its field", async () => {
  const storage = openMemory();
  await storage.put(`${folder}/intent.json`, Buffer.from('{"format_version": 1}'));
  const record = new ThreePhaseRecord(storage, "golden", id);
  await expect(record.intent()).rejects.toThrow(`${folder}/intent.json: backup_id`);
});

test("S2 an id cannot lead out of its folder", () => {
  expect(() => new ThreePhaseRecord(openMemory(), "golden", "../x")).toThrow("is not valid");
});
