/**
 * A backup as somebody would leave it who wants the process gone that reads it: batches of a few MB
 * that decompress to GBs. Each command that must decode them runs as a process of its own, and its
 * kernel says how much memory it has held at most.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { batchBodyBytesMax } from "#core/kafka/batch-compression.ts";
import { openStorage } from "#core/storage/open.ts";
import { systemClock } from "#core/system.ts";
import { type BombCodec, bombBatch, bombs } from "#test/support/bombs.ts";
import { kafkaForTests, randomName } from "#test/support/kafka.ts";
import {
  syntheticBackup,
  syntheticBackupId,
  syntheticBatches,
} from "#test/support/synthetic-backup.ts";

const codecs = Object.keys(bombs) as BombCodec[];
const soundTopic = randomName("sound");
const topicOf = (codec: BombCodec) => `${soundTopic}-${codec}`;
const mebibyte = 1024 * 1024;
/**
 * What a command holds without bombs (some 150 MiB), the stored batches, and two bodies of the
 * ceiling: one that is about to be refused, and one that is not collected yet. The bombs hold 12 GiB.
 */
const memoryMax = 512 * mebibyte + 2 * batchBodyBytesMax;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-bombs-"));
  const path = join(folder, "backups");
  const storage = await openStorage({ backend: "filesystem", path }, { clock: systemClock });
  const bad = codecs.map((codec) => ({ topic: topicOf(codec), segments: [[bombBatch(codec)]] }));
  const sound = { topic: soundTopic, segments: [syntheticBatches(0n, 2)] };
  await syntheticBackup(storage).addRun({ partitions: [sound, ...bad] });
  await storage.close();
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

interface CommandEnd {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly peakBytes: number;
}

/** V8's own heap is held to 128 MiB besides: the ceilings are of what lies outside of it. */
async function run(...args: readonly string[]): Promise<CommandEnd> {
  const peakFile = join(folder, "peak");
  const peakMemory = join(import.meta.dirname, "../support/peak-memory.ts");
  const options = ["--max-old-space-size=128", "--import", peakMemory];
  const env = { ...process.env, PEAK_MEMORY: peakFile };
  const ended = await new Promise<Omit<CommandEnd, "peakBytes">>((resolve) => {
    const all = [...options, "bin/kafka-backup", ...args];
    execFile(process.execPath, all, { env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
  return { ...ended, peakBytes: Number(await readFile(peakFile, "utf8")) };
}

const backup = () => ["--path", join(folder, "backups"), "--backup-id", syntheticBackupId];

/** In the words of the codec, for some say before they decompress what they would come to. */
const refused = (codec: BombCodec) =>
  new RegExp(
    `record batch of ${topicOf(codec)}-0 at offset 0: its ${codec} body ` +
      `(would decompress|decompresses) to .*${batchBodyBytesMax}`,
  );

test("S4 bombs of all codecs are findings of a deep validation, within bounds of memory", async () => {
  const { code, stdout, stderr, peakBytes } = await run(
    ...["validate", "--deep", ...backup(), "--format", "json"],
  );
  expect(code, stderr).toBe(13);
  const { findings } = JSON.parse(stdout) as {
    findings: { code: string; topic: string; message: string }[];
  };
  for (const codec of codecs) {
    const [finding] = findings.filter(({ topic }) => topic === topicOf(codec));
    expect(finding).toMatchObject({
      code: "records_damaged",
      message: expect.stringMatching(refused(codec)),
    });
  }
  expect(findings.filter(({ topic }) => topic === soundTopic)).toEqual([]);
  expect(peakBytes).toBeLessThan(memoryMax);
}, 240_000);

test.each(codecs)(
  "S4 a %s bomb is refused by name where somebody looks at it, within bounds",
  async (codec) => {
    const at = ["--topic", topicOf(codec), "--partition", "0"];
    const { code, stderr, peakBytes } = await run("inspect", ...backup(), ...at);
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/CorruptRecordBatchError/);
    expect(stderr).toMatch(refused(codec));
    expect(peakBytes).toBeLessThan(memoryMax);
  },
  120_000,
);

test("S4 bombs that a restore must decode fail their partitions by name, within bounds", async () => {
  const config = join(folder, "restore.json");
  const prefix = randomName("restored");
  const all = [soundTopic, ...codecs.map(topicOf)];
  await writeFile(
    config,
    JSON.stringify({
      ...{ mode: "restore", backup_id: syntheticBackupId },
      storage: { backend: "filesystem", path: join(folder, "backups") },
      target: { bootstrap_servers: kafkaForTests().bootstrapServers },
      restore: {
        include_offset_headers: true,
        topic_mapping: Object.fromEntries(all.map((topic) => [topic, `${prefix}-${topic}`])),
      },
    }),
  );
  const { code, stdout, stderr, peakBytes } = await run(
    ...["restore", "--config", config, "--format", "json"],
  );
  expect(code, stderr).not.toBe(0);
  const { failed } = JSON.parse(stdout) as {
    failed: { topic: string; error: string; message: string }[];
  };
  expect(failed.map(({ topic }) => topic).sort()).toEqual(
    codecs.map((codec) => `${prefix}-${topicOf(codec)}`).sort(),
  );
  for (const codec of codecs) {
    const of = failed.find(({ topic }) => topic === `${prefix}-${topicOf(codec)}`);
    expect(of).toMatchObject({
      error: "CorruptRecordBatchError",
      message: expect.stringMatching(refused(codec)),
    });
  }
  expect(peakBytes).toBeLessThan(memoryMax);
}, 240_000);
