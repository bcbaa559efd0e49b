import { expect, test } from "vitest";
import { type ThreePhaseRequest, threePhaseSha256 } from "#core/three-phase/contract.ts";
import { requestOf } from "#test/support/restore-requests.ts";

const request: ThreePhaseRequest = {
  restore: requestOf(),
  groups: { groups: ["b", "a"] },
  strategy: "offset-map",
};

test("the same command is recognised whatever the order of groups, and with consent given later", () => {
  const again = {
    ...request,
    restore: requestOf({ allow_non_empty: true }),
    groups: { groups: ["a", "b"] },
  };
  expect(threePhaseSha256(again)).toBe(threePhaseSha256(request));
});

test("another group, strategy, offset source or restore is another command", () => {
  const others: Partial<ThreePhaseRequest>[] = [
    { groups: { groups: ["a"] } },
    { groups: { all: true } },
    { strategy: "timestamp-based" },
    { offset_source: "latest" },
    { restore: requestOf({ window: { end: 5n } }) },
  ];
  const hashes = others.map((other) => threePhaseSha256({ ...request, ...other }));
  expect(new Set([...hashes, threePhaseSha256(request)]).size).toBe(others.length + 1);
});

test("a group that is called all is not all groups", () => {
  const named = threePhaseSha256({ ...request, groups: { groups: ["all"] } });
  expect(named).not.toBe(threePhaseSha256({ ...request, groups: { all: true } }));
});
