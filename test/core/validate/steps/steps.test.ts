import { describe, expect, test } from "vitest";
import { documentBytes, parseDocument } from "#core/catalog/documents.ts";
import { openObjectCatalog } from "#core/catalog/objects.ts";
import { BackupError } from "#core/errors.ts";
import { toJson } from "#core/json.ts";
import type { StorageBackend } from "#core/storage/backend.ts";
import { inBackup } from "#core/storage/keys.ts";
import { openMemory } from "#core/storage/memory.ts";
import { validationReportKey, validationStartKey } from "#core/storage/validation-keys.ts";
import { systemClock } from "#core/system.ts";
import { type Finding, validationLevels } from "#core/validate/findings.ts";
import { runValidation } from "#core/validate/run.ts";
import { planTurn } from "#core/validate/steps/plan-turn.ts";
import { type StoredReport, storedReport } from "#core/validate/steps/report.ts";
import { giveUpWorkItem, validateWorkItem } from "#core/validate/steps/work-item.ts";
import {
  begin,
  concluded,
  depsOf,
  lookedAt,
  noDeadline,
  noTurnEnd,
  planned,
  validateInSteps,
} from "#test/core/validate/steps/in-steps.ts";
import { collect } from "#test/support/collect.ts";
import {
  type SyntheticBackup,
  syntheticBackup,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

/** Three runs, seven segments of two topics, three lineages. */
async function madeBackup(storage?: StorageBackend): Promise<SyntheticBackup> {
  const backup = syntheticBackup(storage);
  await backup.addRun({
    partitions: [
      { partition: 0, segments: [syntheticBatches(0n, 3), syntheticBatches(9n, 3)] },
      { partition: 1, segments: [syntheticBatches(100n, 2, 5, { codec: "lz4" })] },
    ],
  });
  await backup.addRun({
    codec: "none",
    partitions: [
      { partition: 0, segments: [syntheticBatches(18n, 4), syntheticBatches(30n, 1)] },
      { topic: "payments", partition: 0, segments: [syntheticBatches(0n, 3)] },
    ],
  });
  await backup.addRun({ partitions: [{ lineage: 2, segments: [syntheticBatches(0n, 3)] }] });
  return backup;
}

async function keysOf({ storage, backupId }: SyntheticBackup, pattern: RegExp): Promise<string[]> {
  const root = inBackup(backupId, "");
  const keys = (await collect(storage.list(root))).map(({ key }) => key);
  return keys.filter((key) => pattern.test(key.slice(root.length)));
}

async function readReport(
  { storage }: Pick<SyntheticBackup, "storage">,
  of: { backup_id: string; validation_id: string },
): Promise<StoredReport> {
  const key = validationReportKey(of);
  return parseDocument(key, await storage.get(key), storedReport);
}

/** Segments are looked at side by side: the order of findings says nothing. */
function comparable({ findings, ...report }: { readonly findings: readonly Finding[] }) {
  return { ...report, findings: findings.map((one) => toJson(one)).sort() };
}

async function flip({ storage }: SyntheticBackup, key: string): Promise<void> {
  const body = await storage.get(key);
  body[body.length - 1]! ^= 1;
  await storage.put(key, body);
}

const damages: Record<string, (backup: SyntheticBackup) => Promise<void>> = {
  "nothing wrong": async () => {},
  "a flipped byte in a segment": async (backup) => {
    const [first] = await keysOf(backup, /\.log$/);
    await flip(backup, first!);
  },
  "flipped bytes in every segment and index": async (backup) => {
    for (const key of await keysOf(backup, /^topics\//)) await flip(backup, key);
  },
  "a lost segment": async (backup) => {
    const segments = await keysOf(backup, /\.log$/);
    await backup.storage.delete(segments.slice(0, 1));
  },
  "a lost manifest": (backup) =>
    backup.storage.delete([inBackup(backup.backupId, "manifests/00000002.json")]),
  "no manifest but a damaged one": async (backup) => {
    const manifests = await keysOf(backup, /^manifest/);
    await backup.storage.delete(manifests);
    await backup.storage.put(manifests[1]!, Buffer.from("{}"));
  },
  "a lost run list": async (backup) => {
    const lists = await keysOf(backup, /^runs\/.*\/topics\//);
    await backup.storage.delete(lists.slice(0, 1));
  },
  "objects that nothing names": async (backup) => {
    await backup.storage.put(inBackup(backup.backupId, "topics/notes.txt"), Buffer.from("?"));
    await backup.interruptRun({
      partitions: [{ startOffset: 33n, segments: [syntheticBatches(33n, 1)] }],
    });
  },
};

describe.each(Object.keys(damages))("with %s", (name) => {
  test.each(validationLevels)(
    "I1 steps find at the %s level what one process finds",
    async (level) => {
      const backup = await madeBackup();
      await damages[name]!(backup);
      const request = { backup_id: backup.backupId, level };
      const expected = await runValidation(backup, request, noDeadline);

      const { result } = await validateInSteps(depsOf(backup), backup.backupId, level, 1);
      const { validation_id, format_version, unchecked, started_at, finished_at, ...report } =
        await readReport(backup, result);
      expect(comparable(report)).toEqual(comparable(expected));
      expect(format_version).toBe(1);
      expect(unchecked).toEqual({ count: 0, first: [] });
      expect(finished_at).toBeGreaterThanOrEqual(started_at);
      expect(result.failure?.Error).toBe(
        expected.status === "sound" ? undefined : "BackupDamagedError",
      );

      // Nothing of a validation is left but its report, and nobody takes that for an orphan.
      expect(await keysOf(backup, /^state\/validations\//)).toEqual([]);
      const again = await runValidation(backup, request, noDeadline);
      expect(comparable(again)).toEqual(comparable(expected));
    },
  );
});

test("turns that are over at once still come to an end, one run or segment at a time", async () => {
  const backup = await madeBackup();
  const deps = { ...depsOf(backup), clock: hurriedClock() };
  const { result, planTurns, workTurns } = await validateInSteps(deps, backup.backupId, "deep", 1);
  expect(result).toMatchObject({ status: "sound", checked: { runs: 3, segments: 7, records: 61 } });
  // The last one finds that there is no other run.
  expect(planTurns).toBe(4);
  expect(workTurns).toEqual([3, 3, 1]);
});

/** Every look at it is a second later. */
function hurriedClock() {
  let ms = 0;
  return { ...systemClock, monotonicMs: () => (ms += 1_000) };
}

test("a segment that the function's own end cuts off is looked at again from its start", async () => {
  const backup = await madeBackup();
  const deps = depsOf(backup);
  const begun = await begin(deps, backup.backupId, "deep");
  const { requests } = await planned(deps, begun);
  const [request] = requests;
  let looks = 0;
  const soon = { ...noDeadline, passed: () => ++looks > 3 };
  const cut = await validateWorkItem(deps, request!, noTurnEnd, soon);
  expect(cut).toMatchObject({ status: "continue" });
  expect(await lookedAt(deps, request!)).toBe(1);
  const result = await concluded(deps, begun.validation);
  expect(result).toMatchObject({ status: "sound", checked: { segments: 7, records: 61 } });
});

describe("C4 the same work twice", () => {
  test("two workers at one item: the first to write counts, and every segment once", async () => {
    const backup = await madeBackup();
    const deps = depsOf(backup);
    const begun = await begin(deps, backup.backupId, "deep");
    const { requests } = await planned(deps, begun);
    const turn = () => validateWorkItem(deps, requests[0]!, noTurnEnd, noDeadline);
    const turns = await Promise.all([turn(), turn()]);
    expect(turns.map(({ status }) => status).sort()).toEqual(["continue", "done"]);
    expect(await turn()).toMatchObject({ status: "done", segments_left: 0 });
    const result = await concluded(deps, begun.validation);
    expect(result).toMatchObject({ status: "sound", checked: { segments: 7, records: 61 } });
  });

  test("two turns of planning at once: the segments of one of them are looked at", async () => {
    const backup = await madeBackup();
    const deps = { ...depsOf(backup), clock: hurriedClock() };
    const begun = await begin(deps, backup.backupId, "deep", { turnMs: 1 });
    const turn = () => planTurn(deps, begun.validation, noTurnEnd, noDeadline);
    await Promise.all([turn(), turn()]);
    const { requests } = await planned(deps, begun);
    for (const request of requests) await lookedAt(deps, request);
    const result = await concluded(deps, begun.validation);
    expect(result).toMatchObject({ status: "sound", checked: { runs: 3, records: 61 } });
  });

  test("the last step gives the report that was stored, also when the state is gone", async () => {
    const backup = await madeBackup();
    const deps = depsOf(backup);
    const { result } = await validateInSteps(deps, backup.backupId, "deep");
    await damages["a lost segment"]!(backup);
    expect(await concluded(deps, result)).toEqual(result);
  });
});

describe("segments that cannot be looked at", () => {
  /** As a store that throws for some keys; `heals` after so many calls. */
  function refusing(storage: StorageBackend, error: BackupError, heals = Infinity): StorageBackend {
    let left = heals;
    const refuse = (key: string) => {
      if (/payments.*\.log$/.test(key) && left-- > 0) throw error;
    };
    return {
      ...bound(storage),
      head: async (key) => {
        refuse(key);
        return storage.head(key);
      },
    };
  }

  const denied = new BackupError("AccessDeniedError", "AccessDenied for that key");

  test.each(validationLevels)(
    "are unchecked at the %s level and stop no other; the result is incomplete by that reason",
    async (level) => {
      const backup = await madeBackup();
      const deps = depsOf({ ...backup, storage: refusing(backup.storage, denied) });
      const { result } = await validateInSteps(deps, backup.backupId, level);
      expect(result).toMatchObject({
        status: "incomplete",
        unchecked: { count: 1, first: [{ topic: "payments", error: "AccessDeniedError" }] },
        failure: { Error: "AccessDeniedError" },
      });
      expect(result.checked.records).toBe(level === "deep" ? 52 : 0);
      expect(result.failure?.Cause).toMatch(/1 segments were not checked.*payments.*that key/);
    },
  );

  test("do not hide damage elsewhere", async () => {
    const backup = await madeBackup();
    const [other] = await keysOf(backup, /orders.*\.log$/);
    await backup.storage.delete([other!]);
    const deps = depsOf({ ...backup, storage: refusing(backup.storage, denied) });
    const { result } = await validateInSteps(deps, backup.backupId, "shallow");
    expect(result).toMatchObject({ status: "damaged", failure: { Error: "BackupDamagedError" } });
    expect(result.failure?.Cause).toContain(other);
  });

  test("for want of a pause are tried again, and what was done before is kept", async () => {
    const backup = await madeBackup();
    const throttled = new BackupError("ThrottledError", "SlowDown");
    const deps = depsOf({ ...backup, storage: refusing(backup.storage, throttled, 1) });
    const begun = await begin(deps, backup.backupId, "deep");
    const { requests } = await planned(deps, begun);
    const failing = validateWorkItem(deps, requests[0]!, noTurnEnd, noDeadline);
    await expect(failing).rejects.toMatchObject({ name: "ThrottledError" });
    const turn = await validateWorkItem(deps, requests[0]!, noTurnEnd, noDeadline);
    expect(turn).toMatchObject({ status: "done" });
    expect(turn.records).toBeLessThan(61);
    expect(await concluded(deps, begun.validation)).toMatchObject({
      ...{ status: "sound", unchecked: { count: 0 }, checked: { records: 61 } },
    });
  });

  test("as their worker died are unchecked, but for those that it had looked at", async () => {
    const backup = await madeBackup();
    const deps = { ...depsOf(backup), clock: hurriedClock() };
    const begun = await begin(deps, backup.backupId, "deep");
    const { requests } = await planned(deps, begun);
    await validateWorkItem(deps, requests[0]!, 1, noDeadline);
    const failure = { error: "Runtime.ExitError", message: "x".repeat(5_000) };
    await giveUpWorkItem(deps, requests[0]!, failure);
    await giveUpWorkItem(deps, requests[0]!, failure);
    const result = await concluded(deps, begun.validation);
    expect(result).toMatchObject({
      status: "incomplete",
      unchecked: { count: 6 },
      failure: { Error: "Runtime.ExitError" },
    });
    expect(JSON.stringify(result.unchecked).length).toBeLessThan(6_000);
  });

  test("for nobody knows why fail the last step: it never takes them for sound", async () => {
    const backup = await madeBackup();
    const deps = depsOf(backup);
    const begun = await begin(deps, backup.backupId, "deep");
    const { requests } = await planned(deps, begun);
    expect(requests).toHaveLength(1);
    await expect(concluded(deps, begun.validation)).rejects.toMatchObject({
      name: "CorruptManifestError",
      message: expect.stringMatching(/of 7 segments 7 have no result/),
    });
  });
});

describe("what happens meanwhile", () => {
  test("a run that is committed changes nothing: what was begun with is validated", async () => {
    const backup = await madeBackup();
    const deps = { ...depsOf(backup), clock: hurriedClock() };
    const begun = await begin(deps, backup.backupId, "deep", { turnMs: 1 });
    await backup.addRun({
      partitions: [{ lineage: 2, segments: [syntheticBatches(9n, 3)] }],
    });
    const { requests } = await planned(deps, begun);
    for (const request of requests) await lookedAt(deps, request);
    const result = await concluded(deps, begun.validation);
    expect(result).toMatchObject({ status: "sound", generation: 3, findings: { count: 0 } });
    expect(result.checked).toMatchObject({ manifests: 3, runs: 3, segments: 7 });
  });

  test("a manifest that is changed ends it", async () => {
    const backup = await madeBackup();
    const deps = { ...depsOf(backup), clock: hurriedClock() };
    const begun = await begin(deps, backup.backupId, "deep", { turnMs: 1 });
    const key = inBackup(backup.backupId, "manifests/00000003.json");
    const body = await backup.storage.get(key);
    await backup.storage.put(key, Buffer.concat([body, Buffer.from("\n")]));
    await expect(planned(deps, begun)).rejects.toMatchObject({
      name: "CorruptManifestError",
      message: expect.stringContaining("was changed while it was validated"),
    });
  });

  test("another validation is neither damage nor an orphan", async () => {
    const backup = await madeBackup();
    await begin(depsOf(backup), backup.backupId, "deep");
    const { result } = await validateInSteps(depsOf(backup), backup.backupId, "shallow");
    expect(result).toMatchObject({ status: "sound", findings: { count: 0 } });
  });

  test("a run whose state goes while orphans are looked for is looked at again", async () => {
    const backup = await madeBackup();
    const plan = await backup.interruptRun({
      partitions: [{ startOffset: 33n, segments: [syntheticBatches(33n, 1)] }],
    });
    const { storage, backupId, catalog } = backup;
    let isGone = false;
    const closing: StorageBackend = {
      ...bound(storage),
      get: async (key) => {
        if (!key.includes("/checkpoints/") || isGone) return storage.get(key);
        isGone = true;
        await catalog.closeRun(backupId, plan.state_id);
        return storage.get(key);
      },
    };
    const newId = () => "0123456789abcdef";
    const other = openObjectCatalog({ storage: closing, clock: systemClock, newId });
    const deps = { storage: closing, catalog: other };
    const request = { backup_id: backupId, level: "shallow" } as const;
    const report = await runValidation(deps, request, noDeadline);
    expect(isGone).toBe(true);
    expect(report.status).toBe("sound");
    expect(new Set(report.findings.map(({ code }) => code))).toEqual(new Set(["object_orphaned"]));
  });
});

describe("beginning", () => {
  test("where there is no backup writes nothing, and says so", async () => {
    const backup = await madeBackup();
    const deps = depsOf(backup);
    const beginning = begin(deps, "no-such-backup", "shallow");
    await expect(beginning).rejects.toMatchObject({ name: "BackupNotFoundError" });
    expect(await collect(backup.storage.list("no-such-backup/"))).toEqual([]);
    const hostile = begin(deps, "../other", "shallow");
    await expect(hostile).rejects.toMatchObject({ name: "InvalidRequestError" });
  });

  test("C7 removes what was left behind more than 8 days ago by the store's own clock", async () => {
    const dayMs = 24 * 60 * 60 * 1_000;
    let nowMs = 0;
    const backup = await madeBackup(openMemory(undefined, () => nowMs));
    const deps = depsOf(backup);
    const old = await begin(deps, backup.backupId, "deep");
    nowMs += 1.5 * dayMs;
    const young = await begin(deps, backup.backupId, "deep");
    nowMs += 7 * dayMs;
    const { result } = await validateInSteps(deps, backup.backupId, "deep");
    expect(result.status).toBe("sound");
    const left = await keysOf(backup, /^state\/validations\//);
    expect(left).toContain(validationStartKey(young.validation));
    expect(left.filter((key) => key.includes(old.validation.validation_id))).toEqual([]);
  });
});

test("what the machine is told of heavy damage is small; the report has all of it", async () => {
  const backup = syntheticBackup();
  const segments = Array.from({ length: 300 }, (_, i) => syntheticBatches(BigInt(i), 1, 1));
  await backup.addRun({ partitions: [{ segments }] });
  await backup.storage.delete(await keysOf(backup, /^topics\//));
  const { result } = await validateInSteps(depsOf(backup), backup.backupId, "deep");
  expect(result.findings).toMatchObject({ count: 600 });
  expect(documentBytes(result).length).toBeLessThan(6_000);
  expect((await readReport(backup, result)).findings).toHaveLength(600);
});

/** Methods that may be handed on by spreading. */
function bound(storage: StorageBackend): StorageBackend {
  return {
    url: storage.url,
    createIfAbsent: (key, body) => storage.createIfAbsent(key, body),
    createStream: (key) => storage.createStream(key),
    put: (key, body) => storage.put(key, body),
    get: (key) => storage.get(key),
    getRange: (key, position, length) => storage.getRange(key, position, length),
    head: (key) => storage.head(key),
    list: (prefix, options) => storage.list(prefix, options),
    listFolders: (prefix) => storage.listFolders(prefix),
    delete: (keys) => storage.delete(keys),
    close: () => storage.close(),
  };
}
