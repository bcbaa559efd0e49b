import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { parseDeployment, parseSchedules } from "#core/config/deployment.ts";
import { parseConfig } from "#core/config/parse.ts";

const source = { bootstrap_servers: ["kafka:9092"], topics: { include: ["orders-*"] } };
const storage = { backend: "s3", bucket: "kafka-backups" };
const plain = { mode: "backup", backup_id: "orders", source, storage };
const options = { fileName: "backup.yaml", env: {}, logins: {} };

function schedulesOf(...schedules: object[]) {
  return parseSchedules(JSON.stringify({ ...plain, schedules }), options);
}

const hourly = { name: "hourly", expression: "rate(1 hour)" };
const nightly = { name: "nightly", expression: "cron(30 2 * * ? *)", alarm_after_hours: 26 };

describe("schedules of a deployment", () => {
  test("are none unless given, and no part of what its functions are told", () => {
    expect(parseSchedules(JSON.stringify(plain), options)).toEqual([]);
    const config = parseDeployment(JSON.stringify({ ...plain, schedules: [hourly] }), options);
    expect(config).not.toHaveProperty("schedules");
  });

  test("continue the file's backup, or the one that they name", () => {
    const topics = { include: ["payments"] };
    const [first, second] = schedulesOf(hourly, { ...nightly, backup_id: "payments", topics });
    expect(first).toMatchObject({ backup_id: "orders", topics: undefined, validate: undefined });
    expect(second).toMatchObject({
      backup_id: "payments",
      topics: { include: ["payments"], exclude: [] },
    });
  });

  test("validate where they say how deep", () => {
    expect(schedulesOf({ ...hourly, validate: "deep" })[0]).toMatchObject({ validate: "deep" });
  });

  test("have a time zone where they know a time of day", () => {
    const zones = schedulesOf(hourly, nightly, {
      ...{ ...nightly, name: "berlin" },
      timezone: "Europe/Berlin",
    }).map(({ timezone }) => timezone);
    expect(zones).toEqual([undefined, "UTC", "Europe/Berlin"]);
  });

  test.each([
    ["rate(5 minutes)", 1],
    ["rate(1 hour)", 2],
    ["rate(90 minutes)", 3],
    ["rate(3 days)", 144],
  ])("raise an alarm two intervals of %s after the last good run", (expression, hours) => {
    expect(schedulesOf({ name: "a", expression })[0]).toMatchObject({ alarm_after_hours: hours });
  });

  test("raise it when they are told to, or never", () => {
    const told = schedulesOf(nightly, { ...hourly, alarm_after_hours: "never" });
    expect(told.map(({ alarm_after_hours }) => alarm_after_hours)).toEqual([26, undefined]);
  });

  test.each([
    [{ ...hourly, name: "Every hour" }, /schedules\[0\]\.name: must be up to 40/],
    [{ ...hourly, expression: "rate(0 hours)" }, /schedules\[0\]\.expression: must be rate\(/],
    [{ ...hourly, expression: "cron(0 2 * * *)" }, /expression: must be rate\(/],
    [{ ...hourly, expression: "cron(0 2 * * * *)" }, /expression: must be rate\(/],
    [{ ...hourly, expression: "at(2027-01-01T00:00:00)" }, /expression: must be rate\(/],
    [{ ...hourly, timezone: "Europe/Berlin" }, /timezone: does nothing with a rate/],
    [{ ...nightly, timezone: "+01:00" }, /timezone: must be a time zone/],
    [{ ...nightly, timezone: "Europe/Atlantis" }, /timezone: must be a time zone/],
    [{ ...hourly, backup_id: "a b" }, /backup_id: must be/],
    [{ ...hourly, topics: { include: [] } }, /topics\.include: must not be empty/],
    [
      { ...hourly, topics: { include: ["a"] }, validate: "deep" },
      /topics: does nothing with validate/,
    ],
    [{ ...hourly, validate: true }, /validate: must be one of shallow, deep/],
    [{ ...hourly, alarm_after_hours: 169 }, /alarm_after_hours: must be/],
    [{ ...nightly, alarm_after_hours: undefined }, /alarm_after_hours: is required/],
    [{ ...hourly, expression: "rate(4 days)" }, /alarm_after_hours: is required/],
    [{ ...hourly, topic: "a" }, /schedules\[0\]\.topic: unknown key/],
    [{ name: "a" }, /schedules\[0\]\.expression: is required/],
  ])("%j is refused by name", (schedule, message) => {
    const refusal = { name: "InvalidConfigError", message: expect.stringMatching(message) };
    expect(() => schedulesOf(schedule)).toThrow(expect.objectContaining(refusal));
  });

  test("have names of their own", () => {
    expect(() => schedulesOf(hourly, hourly)).toThrow(/schedules\[1\]\.name: is used twice/);
  });

  test("are told where they stand", () => {
    const text = `${JSON.stringify(plain).slice(0, -1)},\n"schedules": [\n{"name": 5}]}`;
    expect(() => parseSchedules(text, options)).toThrow(/^backup\.yaml:3:10 schedules\[0\]\.name/);
  });

  test("are as the guide shows them", () => {
    const guide = readFileSync(join(import.meta.dirname, "../../../docs/aws-guide.md"), "utf8");
    const [example] = /^schedules:\n(?: .*\n)+/m.exec(guide)!;
    const text = `${stringify(plain)}${example}`;
    expect(parseSchedules(text, options).map(({ name }) => name)).toEqual([
      ...["hourly", "payments-nightly", "weekly-deep"],
    ]);
    for (const key of ["name", "expression", "timezone", "backup_id", "topics", "validate"]) {
      expect(guide).toContain(`| \`${key}\` |`);
    }
  });

  test("are refused by the command line, which would not keep them", () => {
    const text = JSON.stringify({ ...plain, schedules: [hourly] });
    expect(() => parseConfig(text, options)).toThrow(
      /schedules: does nothing here: only a deployment on AWS/,
    );
  });
});
