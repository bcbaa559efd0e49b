/** What the script takes of Kafka's tool, whatever version prints it. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type OffsetPlan, offsetPlan } from "#core/offsets/contract.ts";
import { offsetScript } from "#core/offsets/script.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "kafka-backup-script-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const group = "billing";

function planOf(offsets: readonly bigint[]): OffsetPlan {
  const partitions = offsets.map((offset, partition) => ({
    ...{ topic: "orders", partition, source_topic: "orders", source_partition: partition },
    ...{ source_offset: offset, source_read_at: 0n, target_offset: offset, reason: "exact" },
    ...{ metadata: "", end_offset: 100n, lag: 0n },
  }));
  return offsetPlan.parse({
    ...{ format_version: 1, backup_id: "orders", strategy: "offset-map", created_at: 0n },
    ...{ offset_source: "latest", groups: [{ group, partitions }], left_alone: [] },
  });
}

/** Of a tool that prints this and ends with 0. */
function runWith(output: string, offsets: readonly bigint[] = [30n, 12n]) {
  const tool = join(folder, "tool");
  writeFileSync(tool, `#!/bin/sh\ncat <<'END'\n${output}\nEND\n`);
  chmodSync(tool, 0o755);
  const input = offsetScript(planOf(offsets));
  execFileSync("sh", ["-n"], { input });
  const env = { PATH: process.env.PATH, BOOTSTRAP: "none:9092", TOOL: tool };
  const { status, stderr } = spawnSync("sh", ["-s"], { input, env, encoding: "utf8" });
  return { status, stderr };
}

const header = "GROUP    TOPIC    PARTITION  NEW-OFFSET";
const rows = ["billing   orders   0          30", "billing   orders   1          12"];

test.each([
  ["in lines of their own, as Kafka 3.7 and 4.2 do", `\n${header}\n${rows.join("\n")}`],
  ["all in one line, as Kafka 3.9 does", `\n${header}     ${rows.join("   ")}`],
])("rows that come %s are all found", (_, output) => {
  expect(runWith(output)).toEqual({ status: 0, stderr: "" });
});

test.each([
  ["a partition without a row", rows[0]!, "orders-1"],
  ["a row with another offset", `${rows[0]}\nbilling  orders  1  11`, "orders-1"],
  ["no row", "Error: 'orders 0 30 orders 1 12' is inactive", "orders-0\norders-1"],
])("%s counts as not reset", (_, output, missing) => {
  const stderr = `not reset: group ${group}\n${missing}\n`;
  expect(runWith(`${header}\n${output}`)).toEqual({ status: 3, stderr });
});
