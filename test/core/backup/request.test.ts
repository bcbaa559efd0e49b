import { expect, test } from "vitest";
import { backupRequest } from "#core/backup/contract.ts";
import { backupRequestOf } from "#core/backup/request.ts";
import { toJson } from "#core/json.ts";
import { backupText, parseBackup } from "#test/core/config/configuration.ts";

function requestOf(settings: readonly string[] = []) {
  const backup = settings.length === 0 ? "" : ["backup:", ...settings].join("\n  ");
  return backupRequestOf(parseBackup(`${backupText}${backup}\n`));
}

test("K5 a limit in the configuration is one of the request, in bytes", () => {
  expect(requestOf(["max_bytes_per_second: 50MiB"]).max_bytes_per_second).toBe(52_428_800);
  expect(requestOf(["max_bytes_per_second: 123456"]).max_bytes_per_second).toBe(123_456);
  expect(requestOf()).not.toHaveProperty("max_bytes_per_second");
});

test("all that is said of segments and how they are read is in the request", () => {
  const request = requestOf([
    ...["compression: gzip", "compression_level: 3", "recompress: frame"],
    ...["segment_max_bytes: 32MiB", "checkpoint_interval_secs: 7"],
    ...["max_concurrent_partitions: 9", "include_offset_headers: true"],
  ]);
  expect(request).toEqual({
    backup_id: "nightly",
    topics: expect.objectContaining({ include: ["*"], exclude: [] }),
    segments: {
      compression: "gzip",
      compression_level: 3,
      recompress: "frame",
      segment_max_bytes: 32 * 1024 * 1024,
      checkpoint_interval_ms: 7_000,
    },
    max_concurrent_partitions: 9,
    include_offset_headers: true,
  });
});

test("a request survives JSON", () => {
  const request = requestOf(["max_bytes_per_second: 1GiB"]);
  expect(backupRequest.parse(JSON.parse(toJson(request)))).toEqual(request);
});
