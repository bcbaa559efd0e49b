import { expect, test } from "vitest";
import { FindingLog } from "#core/validate/finding-log.ts";
import { type FindingCode, finding, findingTable } from "#core/validate/findings.ts";

const error = finding("segment_missing", "an error");
const info = finding("object_orphaned", "an info");

test("all findings are counted, and only so many are kept", () => {
  const log = new FindingLog(3);
  log.add(info, info, info, info, info);
  expect(log.result()).toMatchObject({
    findings: [info, info, info],
    counts: { error: 0, warning: 0, info: 5 },
    left_out: 2,
  });
});

test("an error takes the place of what is less grave, and never of another error", () => {
  const log = new FindingLog(2);
  log.add(info, info, error);
  expect(log.result().findings).toEqual([info, error]);
  log.add(error, error);
  expect(log.result()).toMatchObject({ findings: [error, error], left_out: 3 });
});

test("what another log had to leave out stays counted", () => {
  const segment = new FindingLog(1);
  segment.add(error, error, error);
  const log = new FindingLog(10);
  log.addLogged(segment.result());
  log.addLogged(segment.result());
  expect(log.result()).toEqual({
    findings: [error, error],
    counts: { error: 6, warning: 0, info: 0 },
    left_out: 4,
  });
});

test("every code says what it means and what to do", () => {
  for (const code of Object.keys(findingTable) as FindingCode[]) {
    const { summary, remedy } = findingTable[code];
    expect(summary, code).toMatch(/^[A-Za-z].+\.$/);
    expect(remedy, code).toMatch(/\.$/);
  }
});
