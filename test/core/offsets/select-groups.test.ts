import fc from "fast-check";
import { expect, test } from "vitest";
import { selectGroups } from "#core/offsets/select-groups.ts";
import { partitionName, partitionNamed } from "#core/offsets/topic-partition.ts";

const names = ["billing", "billing/eu", "orders [1]", "orders 1", "a\nb", "!billing", "__proto__"];
const select = (...groups: string[]) => selectGroups(names, { groups });

test("all groups are selected in their order, each once", () => {
  expect(selectGroups(["b", "a", "b"], { all: true })).toEqual(["a", "b"]);
});

test("a pattern matches any sign of a name, slashes and line feeds among them", () => {
  expect(select("*")).toEqual(names.toSorted());
  expect(select("billing*")).toEqual(["billing", "billing/eu"]);
  expect(select("a*b")).toEqual(["a\nb"]);
  expect(select("{billing,orders ?}")).toEqual(["billing", "orders 1"]);
});

test("a name stands for itself, whatever signs it holds", () => {
  expect(select("orders [1]")).toEqual(["orders [1]"]);
  expect(select("!billing")).toEqual(["!billing"]);
});

test("a name that nobody knows is selected, a pattern without a match is refused", () => {
  expect(select("unknown", "billing", "unknown")).toEqual(["billing", "unknown"]);
  expect(() => select("unknown*")).toThrow(
    expect.objectContaining({
      name: "InvalidRequestError",
      message: 'no consumer group matches the pattern "unknown*"',
    }),
  );
});

test("every name that is there can be selected by itself alone", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.string({ minLength: 1, unit: "binary" }), { minLength: 1 }),
      (known) => {
        for (const name of known) expect(selectGroups(known, { groups: [name] })).toEqual([name]);
      },
    ),
  );
});

test("the name of a partition is read back, also of topics that end in numbers", () => {
  const places = fc.record({
    topic: fc.stringMatching(/^[A-Za-z0-9._-]{1,249}$/).filter((name) => !/^\.\.?$/.test(name)),
    partition: fc.nat(),
  });
  fc.assert(
    fc.property(places, (place) => {
      expect(partitionNamed(partitionName(place))).toEqual(place);
    }),
  );
});

test.each(["orders", "orders-", "-1", "orders--1x", "orders-01", "a/b-1", "orders-99999999999"])(
  "%j names no partition",
  (name) => {
    expect(() => partitionNamed(name)).toThrow(
      expect.objectContaining({ name: "InvalidRequestError" }),
    );
  },
);
