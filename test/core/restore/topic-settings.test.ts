import { expect, test } from "vitest";
import {
  changedSettings,
  maxMessageBytesDuring,
  settingsWhileRestoring,
} from "#core/restore/topic-settings.ts";

const known =
  (...names: string[]) =>
  (name: string) =>
    names.includes(name);

test("only settings that the target knows are changed", () => {
  const old = known("message.timestamp.difference.max.ms", "retention.ms");
  expect(Object.keys(settingsWhileRestoring({}, old))).toEqual([
    "retention.ms",
    "message.timestamp.difference.max.ms",
  ]);
});

test("max.message.bytes is at least what the source topic had", () => {
  const during = (config: Record<string, string>) =>
    settingsWhileRestoring(config, known("max.message.bytes"))["max.message.bytes"];
  expect(during({ "max.message.bytes": "5000000" })).toBe("5000000");
  expect(during({ "max.message.bytes": "1000" })).toBe("1048588");
  expect(during({})).toBe("1048588");
});

test("max.message.bytes makes room for what records grow by", () => {
  const during = settingsWhileRestoring({ "max.message.bytes": "5000000" }, () => true, 59);
  expect(during["max.message.bytes"]).toBe("5000059");
});

const before = (value: string) => ({ value, of_topic: true });

test("max.message.bytes is raised, never lowered", () => {
  const plan = { settings_during: { "max.message.bytes": "1048588" } };
  const smaller = { settings_before: { "max.message.bytes": before("1000") } };
  const larger = { settings_before: { "max.message.bytes": before("9000000") } };
  expect(changedSettings(plan, smaller)).toEqual([["max.message.bytes", "1048588"]]);
  expect(changedSettings(plan, larger)).toEqual([]);
  expect(maxMessageBytesDuring(plan, smaller)).toBe(1_048_588);
  expect(maxMessageBytesDuring(plan, larger)).toBe(9_000_000);
});

test("settings that are right already are not touched", () => {
  const plan = { settings_during: { "retention.ms": "-1", "cleanup.policy": "delete" } };
  const target = {
    settings_before: { "retention.ms": before("-1"), "cleanup.policy": before("compact") },
  };
  expect(changedSettings(plan, target)).toEqual([["cleanup.policy", "delete"]]);
});
