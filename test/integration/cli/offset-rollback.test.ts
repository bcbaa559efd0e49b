/** `kafka-backup offset-rollback` as it is typed, on a real folder, bucket and broker. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { parse } from "yaml";
import { run } from "#cli/main.ts";
import { exitCodes } from "#core/errors.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import { fakeIo } from "#test/cli/fake-io.ts";
import { appendNumbered } from "#test/support/append.ts";
import { connectForTests, createTopic, kafkaForTests, randomName } from "#test/support/kafka.ts";
import { holdGroups } from "#test/support/members.ts";
import { s3ForTests } from "#test/support/s3.ts";

const { bootstrapServers } = kafkaForTests();
const brokers = ["--bootstrap-servers", bootstrapServers];
let cluster: Cluster;
let topic: string;
let folder: string;

beforeAll(async () => {
  cluster = await connectForTests();
  topic = await createTopic(cluster, { partitionCount: 2 });
  await appendNumbered(cluster, { topic, partition: 0, from: 0, count: 50 });
});
afterAll(() => cluster?.disconnect());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kafka-backup-rollback-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function cli(env: Record<string, string>, ...argv: string[]) {
  const io = fakeIo({ env });
  const exitCode = await run(argv, io);
  return { exitCode, out: io.out(), err: io.err() };
}

const rollback = (subCommand: string, ...argv: string[]) =>
  cli({}, "offset-rollback", subCommand, "--path", folder, ...argv);

async function commit(group: string, offset: bigint, metadata = ""): Promise<void> {
  const position = { topic, partition: 0, offset, leaderEpoch: -1, metadata };
  expect(await cluster.commitOffsets(group, [position])).toMatchObject([{ error: undefined }]);
}

async function offsetOf(group: string): Promise<bigint | undefined> {
  return (await cluster.committedOffsets([group])).groups[0]?.offsets[0]?.offset;
}

/** Takes a snapshot and returns its id, as a script would find it in the table. */
async function snapshotId(...argv: string[]): Promise<string> {
  const taken = await rollback("snapshot", ...argv, ...brokers);
  expect(taken).toMatchObject({ exitCode: exitCodes.done, err: "" });
  return /^snapshot: (snapshot-\d{8}T\d{6}Z-[0-9a-f]{8})$/m.exec(taken.out)![1]!;
}

test("a snapshot is taken, listed, shown, verified, rolled back to, compared and deleted", async () => {
  const group = randomName("billing");
  await commit(group, 17n, "note");
  const id = await snapshotId("--groups", group, "--description", "Before the incident");
  const list = await rollback("list");
  expect(list.exitCode).toBe(exitCodes.done);
  expect(list.out).toMatch(
    new RegExp(`^${id} +\\S+Z +1 +1 +${cluster.clusterId} +Before the incident$`, "m"),
  );

  const shown = await rollback("show", "--snapshot-id", id, "--format", "json");
  expect(JSON.parse(shown.out)).toMatchObject({
    snapshot_id: id,
    description: "Before the incident",
    created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    consumer_groups: {
      [group]: { partitions: { [`${topic}-0`]: { offset: 17, metadata: "note" } } },
    },
  });
  expect(JSON.parse(await readFile(join(folder, "snapshots", `${id}.json`), "utf8"))).toEqual(
    JSON.parse(shown.out),
  );
  const yaml = await rollback("show", "--snapshot-id", id, "--format", "yaml");
  expect(parse(yaml.out)).toEqual(JSON.parse(shown.out));
  const table = await rollback("show", "--snapshot-id", id);
  expect(table.out).toMatch(new RegExp(`^${group} +classic +Empty +${topic} +0 +17 +note$`, "m"));

  const sound = await rollback("verify", "--snapshot-id", id);
  expect(sound).toEqual({
    exitCode: exitCodes.done,
    out:
      `${id} is well-formed: 1 group, 1 position. It has no checksum: an offset that was ` +
      "edited is not found.\n",
    err: "",
  });
  const possible = await rollback("verify", "--snapshot-id", id, ...brokers);
  expect(possible.out).toContain(`A rollback in cluster ${cluster.clusterId} is possible.`);

  await commit(group, 40n);
  const back = await rollback("rollback", "--snapshot-id", id, ...brokers, "--verify", "true");
  expect(back.exitCode).toBe(exitCodes.done);
  expect(back.out).toMatch(new RegExp(`^${group} +changed +1 +0$`, "m"));
  expect(back.out).toContain(`rolled back to ${id}: 1 of 1 group, and read back\n`);
  expect(await offsetOf(group)).toBe(17n);
  const safety = /^safety snapshot: (\S+) /m.exec(back.out)![1]!;

  const diff = await rollback("diff", id, safety);
  expect(diff.out).toMatch(new RegExp(`^${group} +${topic} +0 +moved +17 +40 +\\+23$`, "m"));
  const data = await rollback("diff", safety, id, "--format", "json");
  expect(JSON.parse(data.out).groups[0].partitions[0]).toMatchObject({ distance: -23 });

  const deleted = await rollback("delete", "--snapshot-id", id);
  expect(deleted).toEqual({ exitCode: exitCodes.done, out: `deleted ${id}\n`, err: "" });
  const gone = await rollback("show", "--snapshot-id", id);
  expect(gone.exitCode).toBe(exitCodes.notFound);
  expect(gone.err).toMatch(/^SnapshotNotFoundError: .*\nhint: .*offset-rollback list/);
  const again = await rollback("delete", "--snapshot-id", id);
  expect(again.exitCode).toBe(exitCodes.notFound);
});

test("group names with commas, spaces, quotes and __proto__ pass through every form", async () => {
  const odd = `${randomName("odd")} a,b "c"/日本`;
  const groups = [odd, "__proto__"];
  for (const group of groups) await commit(group, 5n);
  const id = await snapshotId("--groups", odd.replaceAll(",", "\\,"), "--groups", "__proto__");
  const json = await rollback("show", "--snapshot-id", id, "--format", "json");
  const names = (text: string, read: (text: string) => { consumer_groups: object }) =>
    Object.keys(read(text).consumer_groups).sort();
  expect(names(json.out, JSON.parse)).toEqual(groups.toSorted());
  const yaml = await rollback("show", "--snapshot-id", id, "--format", "yaml");
  expect(names(yaml.out, parse)).toEqual(groups.toSorted());
  const table = await rollback("show", "--snapshot-id", id);
  for (const group of groups) expect(table.out).toContain(`\n${group}`);
  for (const group of groups) await commit(group, 6n);
  const back = await rollback("rollback", "--snapshot-id", id, "--groups", "__proto__", ...brokers);
  expect(back.exitCode).toBe(exitCodes.done);
  expect([await offsetOf("__proto__"), await offsetOf(odd)]).toEqual([5n, 6n]);
});

test("all groups are taken with the connection of a configuration file", async () => {
  const group = randomName("group");
  await commit(group, 3n);
  const config = join(folder, "backup.yaml");
  const source = `{bootstrap_servers: ["${bootstrapServers}"], topics: {include: ["*"]}}`;
  const storage = `{backend: filesystem, path: ${folder}}`;
  await writeFile(config, `mode: backup\nbackup_id: b\nsource: ${source}\nstorage: ${storage}\n`);
  const taken = await rollback("snapshot", "--all-groups", "--config", config, "--format", "json");
  expect(taken).toMatchObject({ exitCode: exitCodes.done, err: "" });
  const document = JSON.parse(taken.out);
  expect(document).toMatchObject({ all_groups: true, groups_complete: true });
  expect(document.consumer_groups[group].partitions[`${topic}-0`].offset).toBe(3);
});

test("live members are refused with 14, forced or not, and named", async () => {
  const group = randomName("group");
  await commit(group, 3n);
  const id = await snapshotId("--groups", group);
  const held = await holdGroups(topic, [`consumer:${group}`]);
  try {
    for (const force of [[], ["--force"]]) {
      const refused = await rollback("rollback", "--snapshot-id", id, ...brokers, ...force);
      expect(refused.exitCode).toBe(exitCodes.preflightRefused);
      expect(refused.out).toBe("");
      expect(refused.err).toMatch(
        /^GroupNotEmptyError: .* has a member: consumer:.* at \/127.0.0.1\nhint: Stop/m,
      );
    }
    const verdict = await rollback("verify", "--snapshot-id", id, ...brokers);
    expect(verdict.exitCode).toBe(exitCodes.preflightRefused);
    expect(verdict.out).toContain("would be refused");
  } finally {
    await held.release();
  }
});

test("a position outside the log is refused with 14 and --force, which clamps it, is named", async () => {
  const group = randomName("group");
  await commit(group, 60n);
  const id = await snapshotId("--groups", group);
  const refused = await rollback("rollback", "--snapshot-id", id, ...brokers);
  expect(refused.exitCode).toBe(exitCodes.preflightRefused);
  expect(refused.err).toMatch(/stood at offset 60 .*; its log holds 0 to 50\nhint: Pass --force/);
  const forced = await rollback("rollback", "--snapshot-id", id, ...brokers, "--force");
  expect(forced.exitCode).toBe(exitCodes.done);
  expect(forced.out).toMatch(/^warning +offset-clamped +.* it is set to 50$/m);
  expect(await offsetOf(group)).toBe(50n);
});

test("names of which no group exists are no snapshot; where one does, the others are warned of", async () => {
  const [typo, other, group] = [randomName("typo-a"), randomName("typo-b"), randomName("group")];
  const refused = await rollback("snapshot", "--groups", `${typo},${other}`, ...brokers);
  expect(refused).toMatchObject({ exitCode: exitCodes.usage, out: "" });
  expect(refused.err).toContain(
    `none of the named groups exists or has committed offsets: "${typo}", "${other}"`,
  );
  expect((await rollback("list")).out).toContain("There are no offset snapshots");
  await commit(group, 3n);
  const taken = await rollback("snapshot", "--groups", `${typo},${group}`, ...brokers);
  expect(taken.exitCode).toBe(exitCodes.done);
  expect(taken.err).toContain("the consumer group does not exist");
});

test("a broker that does not answer is nothing to resume: the command is to be run again", async () => {
  const unreachable = ["--bootstrap-servers", "127.0.0.1:1"];
  const { exitCode, err } = await rollback("snapshot", "--groups", "g", ...unreachable);
  expect(exitCode).toBe(exitCodes.failed);
  expect(err).toMatch(/^BrokerUnavailableError: /m);
  expect(err).toMatch(/^hint: .*then run the command again\.$/m);
});

test("a damaged snapshot hides no other and ends with 13", async () => {
  const group = randomName("group");
  await commit(group, 3n);
  const id = await snapshotId("--groups", group);
  const damaged = "snapshot-20200101T000000Z-00000000";
  await writeFile(join(folder, "snapshots", `${damaged}.json`), '{"format_version":1}');
  const list = await rollback("list");
  expect(list.exitCode).toBe(exitCodes.damaged);
  expect(list.out).toMatch(new RegExp(`^${damaged} +damaged$`, "m"));
  expect(list.out).toContain(id);
  for (const subCommand of ["show", "verify"]) {
    const { exitCode, err } = await rollback(subCommand, "--snapshot-id", damaged);
    expect(exitCode).toBe(exitCodes.damaged);
    expect(err).toContain(`snapshots/${damaged}.json: snapshot_id`);
    expect(err).toMatch(
      /\nhint: Put back an older version .* `kafka-backup offset-rollback delete`/,
    );
  }
  expect((await rollback("delete", "--snapshot-id", damaged)).exitCode).toBe(exitCodes.done);
  expect((await rollback("list")).exitCode).toBe(exitCodes.done);
});

test.each([
  [["snapshot", "--bootstrap-servers", "127.0.0.1:1"], "--groups or --all-groups is missing"],
  [["snapshot", "--groups", "g"], "--bootstrap-servers or --config is missing"],
  [["snapshot", "--groups", "g", "--all-groups"], "cannot be used with option"],
  [["snapshot", "--groups", "a,,b"], "must be names, divided by commas"],
  [["rollback", "--snapshot-id", "x", "--verify", "maybe"], "Allowed choices are true, false"],
  [["show", "--snapshot-id", "../../etc/passwd"], 'snapshot id "../../etc/passwd" is not valid'],
  [["diff", "a"], "missing required argument 'to'"],
])("bad usage ends with 2 and says what is wrong: %j", async ([subCommand, ...argv], message) => {
  const { exitCode, out, err } = await rollback(subCommand!, ...argv);
  expect({ exitCode, out }).toEqual({ exitCode: exitCodes.usage, out: "" });
  expect(err).toContain(message);
});

test("an empty place has no snapshots, in a bucket as in a folder, and a bucket keeps them", async () => {
  expect((await rollback("list")).out).toContain("There are no offset snapshots in ");
  const { endpoint, region, accessKeyId, secretAccessKey } = s3ForTests();
  const bucket = randomName("bucket");
  const credentials = { accessKeyId, secretAccessKey };
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const path = `s3://${bucket}/offset-demo?endpoint=${endpoint}&region=${region}`;
  const inBucket = (subCommand: string, ...argv: string[]) =>
    cli(env, "offset-rollback", subCommand, "--path", path, ...argv);
  expect((await inBucket("list", "--format", "json")).out).toBe("[]\n");
  const group = randomName("group");
  await commit(group, 8n);
  const taken = await inBucket("snapshot", "--groups", group, ...brokers, "--format", "json");
  const id: string = JSON.parse(taken.out).snapshot_id;
  await commit(group, 9n);
  const back = await inBucket("rollback", "--snapshot-id", id, ...brokers);
  expect(back.exitCode).toBe(exitCodes.done);
  expect(await offsetOf(group)).toBe(8n);
  const listed: { snapshot_id: string }[] = JSON.parse(
    (await inBucket("list", "--format", "json")).out,
  );
  expect(listed.map(({ snapshot_id }) => snapshot_id)).toContain(id);
  expect(listed).toHaveLength(2);
});
