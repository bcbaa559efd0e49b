import { expect, test } from "vitest";
import { documentBytes, referenceTo, sha256Of } from "#core/catalog/documents.ts";
import type { Manifest, RunList } from "#core/catalog/manifest.ts";
import { toJson } from "#core/json.ts";
import { type Deadline, deadlineAt } from "#core/runtime.ts";
import { inBackup } from "#core/storage/keys.ts";
import { systemClock } from "#core/system.ts";
import type { ValidationItem } from "#core/validate/item.ts";
import { readManifestHistory } from "#core/validate/manifest-history.ts";
import { planValidation, type ValidationCursor, validationCursor } from "#core/validate/plan.ts";
import {
  type SyntheticBackup,
  syntheticBackup,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const noDeadline = deadlineAt(systemClock, Infinity);

async function planOf(
  backup: SyntheticBackup,
  { cursor, deadline = noDeadline }: { cursor?: ValidationCursor; deadline?: Deadline } = {},
) {
  const items: ValidationItem[] = [];
  const history = await readManifestHistory(backup, backup.backupId, noDeadline);
  const request = {
    backup_id: backup.backupId,
    level: "shallow" as const,
    ...(cursor === undefined ? {} : { cursor }),
  };
  const onItem = async (item: ValidationItem) => void items.push(item);
  const plan = await planValidation(backup, request, history, onItem, deadline);
  return { items, plan, findings: plan.findings };
}

/** A backup of one run whose one list, and all that vouches for it, says something else. */
async function backupWithEditedList(edit: (list: RunList, manifest: Manifest) => void) {
  const backup = syntheticBackup();
  const { manifest } = await backup.addRun({
    partitions: [{ segments: [syntheticBatches(0n, 2), syntheticBatches(6n, 2)] }],
  });
  const { storage, catalog, backupId } = backup;
  const run = manifest.runs[0]!;
  const document = await catalog.readRunDocument(backupId, run.run);
  const list = await catalog.readRunList(backupId, document.lists[0]!);
  edit(list, manifest);
  const replace = async (key: string, content: unknown) => {
    const body = documentBytes(content);
    await storage.put(inBackup(backupId, key), body);
    return referenceTo(key, body);
  };
  const listKey = document.lists[0]!.key;
  document.lists = [{ topic: list.topic, ...(await replace(listKey, list)) }];
  run.run = await replace(run.run.key, document);
  await replace("manifests/00000001.json", manifest);
  await replace("manifest.json", manifest);
  return backup;
}

test("each segment of each run is handed out once, oldest run first", async () => {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  await backup.addRun({
    partitions: [
      { segments: [syntheticBatches(3n, 1), syntheticBatches(6n, 1)] },
      { topic: "payments", partition: 2, segments: [syntheticBatches(0n, 1)] },
    ],
  });
  const { items, plan } = await planOf(backup);
  expect(
    items.map(({ topic, partition, segment }) => [topic, partition, segment.start_offset]),
  ).toEqual([
    ["orders", 0, 0n],
    ["orders", 0, 3n],
    ["orders", 0, 6n],
    ["payments", 2, 0n],
  ]);
  expect(plan).toMatchObject({ status: "done", run_count: 2, segment_count: 4 });
});

test("a plan that runs out of time goes on from its cursor, through JSON, with the same outcome", async () => {
  const backup = syntheticBackup();
  for (let run = 0n; run < 5n; run++) {
    await backup.addRun({ partitions: [{ segments: [syntheticBatches(3n * run, 1)] }] });
  }
  const passed = { ...noDeadline, passed: () => true };
  let cursor: ValidationCursor | undefined;
  const offsets: bigint[] = [];
  for (let call = 1; call <= 5; call++) {
    const { items, plan } = await planOf(backup, {
      deadline: passed,
      ...(cursor === undefined ? {} : { cursor }),
    });
    expect(plan).toMatchObject({ status: "continue", run_count: 1, findings: [] });
    offsets.push(...items.map(({ segment }) => segment.start_offset));
    cursor = validationCursor.parse(JSON.parse(toJson(plan.cursor)));
  }
  const { plan } = await planOf(backup, { cursor: cursor! });
  expect(plan).toMatchObject({ status: "done", run_count: 0, findings: [] });
  expect(offsets).toEqual([0n, 3n, 6n, 9n, 12n]);
});

test("a cancelled plan throws the reason", async () => {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  const deadline = deadlineAt(systemClock, Infinity, AbortSignal.abort(new Error("enough")));
  await expect(planOf(backup, { deadline })).rejects.toThrow("enough");
});

test("runs that were moved to pages are planned, and a damaged page hides only its own", async () => {
  const backup = syntheticBackup();
  for (let run = 0n; run < 513n; run++) {
    await backup.addRun({ partitions: [{ segments: [syntheticBatches(3n * run, 1)] }] });
  }
  const whole = await planOf(backup);
  expect(whole.plan).toMatchObject({ run_count: 513, segment_count: 513, findings: [] });

  const pageKey = inBackup(backup.backupId, "manifests/runs-00000001-00000256.json");
  await backup.storage.put(pageKey, Buffer.from("{}"));
  const { plan, items } = await planOf(backup);
  expect(plan.findings).toMatchObject([{ code: "document_damaged", key: pageKey }]);
  expect(plan).toMatchObject({ is_complete: false, run_count: 513, segment_count: 257 });
  expect(items[0]!.segment.start_offset).toBe(768n);
}, 60_000);

test("damage that was read ahead is told once, in its place, and moves no cursor", async () => {
  const backup = syntheticBackup();
  for (let run = 0n; run < 513n; run++) {
    await backup.addRun({ partitions: [{ segments: [syntheticBatches(3n * run, 1)] }] });
  }
  const { storage, backupId } = backup;
  await storage.put(inBackup(backupId, "manifests/runs-00000001-00000256.json"), Buffer.from("{}"));
  const newest = await backup.catalog.latestManifest(backupId);
  const second = newest!.manifest.runs[1]!;
  await storage.put(inBackup(backupId, second.run.key), Buffer.from("{}"));
  const passed = { ...noDeadline, passed: () => true };
  const call = (cursor?: ValidationCursor) =>
    planOf(backup, { deadline: passed, ...(cursor === undefined ? {} : { cursor }) });

  const page = await call();
  expect(page.findings).toMatchObject([{ code: "document_damaged" }]);
  expect(page.plan).toMatchObject({ segment_count: 0, cursor: { runs_planned: 256 } });
  const first = await call(page.plan.cursor);
  expect(first.plan).toMatchObject({ run_count: 1, segment_count: 1, findings: [] });
  const damaged = await call(first.plan.cursor);
  expect(damaged.plan).toMatchObject({ run_count: 1, segment_count: 0 });
  expect(damaged.findings).toMatchObject([
    { code: "document_damaged", key: inBackup(backupId, second.run.key) },
  ]);
  const rest = await planOf(backup, { cursor: damaged.plan.cursor! });
  expect(rest.plan).toMatchObject({ run_count: 255, segment_count: 255, findings: [] });
}, 60_000);

test("offsets that a gap explains are told as a gap, and as nothing else", async () => {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ segments: [syntheticBatches(0n, 1)] }] });
  await backup.addRun({
    partitions: [
      {
        startOffset: 3n,
        gaps: [{ from_offset: 3n, to_offset: 10n }],
        segments: [syntheticBatches(10n, 1)],
      },
    ],
  });
  const { findings } = await planOf(backup);
  expect(findings).toMatchObject([{ severity: "info", code: "offsets_gap", offset: 3n }]);
  expect(findings[0]!.message).toContain("offsets 3 to 9");
});

test("offsets that nothing explains are a warning with the range", async () => {
  const backup = syntheticBackup();
  await backup.addRun({
    partitions: [{ segments: [syntheticBatches(0n, 1), syntheticBatches(10n, 1)], endOffset: 20n }],
  });
  const { findings } = await planOf(backup);
  expect(findings).toMatchObject([
    { severity: "warning", code: "offsets_unexplained", offset: 3n },
    { severity: "warning", code: "offsets_unexplained", offset: 13n },
  ]);
  expect(findings[0]!.message).toContain("offsets 3 to 9");
});

test("F3: holes of a compacted topic, or where batches were dropped, are not told", async () => {
  const segments = [syntheticBatches(0n, 1), syntheticBatches(10n, 1)];
  const compacted = syntheticBackup();
  await compacted.addRun({
    topicConfig: { "cleanup.policy": "compact,delete" },
    partitions: [{ segments }],
  });
  const transactional = syntheticBackup();
  await transactional.addRun({ partitions: [{ segments, dropped: { control: 2, aborted: 1 } }] });
  expect((await planOf(compacted)).findings).toEqual([]);
  expect((await planOf(transactional)).findings).toEqual([]);
});

test("a first batch that begins before the start of the archive is right", async () => {
  const backup = syntheticBackup();
  await backup.addRun({ partitions: [{ startOffset: 12n, segments: [syntheticBatches(10n, 1)] }] });
  expect((await planOf(backup)).findings).toEqual([]);
});

test("totals that are not the sum of the segments are damage", async () => {
  const backup = await backupWithEditedList((list) => {
    list.partitions[0]!.segments[0]!.record_count += 1;
  });
  const { findings } = await planOf(backup);
  expect(findings.map(({ code }) => code)).toEqual(["totals_differ", "totals_differ"]);
  expect(findings[0]!.message).toContain("record_count 12 instead of 13");
});

test("a segment beyond the archived offsets is damage", async () => {
  const backup = await backupWithEditedList((_, manifest) => {
    manifest.topics[0]!.partitions[0]!.lineages[0]!.next_offset = 8n;
  });
  expect((await planOf(backup)).findings).toMatchObject([
    { code: "offsets_contradict", topic: "orders", partition: 0, lineage: 1, offset: 6n },
  ]);
});

test("a segment within a gap is damage", async () => {
  const backup = await backupWithEditedList((_, manifest) => {
    manifest.topics[0]!.partitions[0]!.lineages[0]!.gaps = [
      { from_offset: 6n, to_offset: 13n, reason: "retention", run_id: "r", detected_at: 0n },
    ];
  });
  const { findings } = await planOf(backup);
  expect(findings.map(({ code }) => code)).toEqual(["offsets_contradict", "offsets_gap"]);
});

test("a lineage that the manifest does not know is damage", async () => {
  const backup = await backupWithEditedList((list) => {
    list.partitions[0]!.lineage = 2;
  });
  const { findings } = await planOf(backup);
  expect(findings[0]).toMatchObject({ severity: "error", code: "document_contradicts" });
  expect(findings[0]!.message).toContain("lineage 2 of orders-0");
});

test("a run that only an older generation names is damage", async () => {
  const backup = syntheticBackup();
  const run = { partitions: [{ segments: [] }] };
  const first = await backup.addRun(run);
  const second = await backup.addRun(run);
  const body = documentBytes({ ...second.manifest, runs: second.manifest.runs.slice(1) });
  await backup.storage.put(inBackup(backup.backupId, "manifests/00000002.json"), body);
  await backup.storage.put(inBackup(backup.backupId, "manifest.json"), body);
  expect(first.manifest.runs).toHaveLength(1);
  expect(sha256Of(body)).not.toBe(second.sha256);
  const { findings } = await planOf(backup);
  expect(findings).toMatchObject([{ code: "document_contradicts" }]);
  expect(findings[0]!.message).toContain("name 2 runs, the newest names only 1");
});
