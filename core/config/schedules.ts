/**
 * When a deployment runs by itself. `schedules` stands in a deployment's file beside what the
 * command line knows; nothing but a deployment has a use for it.
 */
import { z } from "zod";
import { backupIdRule, chosenTopics } from "#core/config/values.ts";

/**
 * https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html: minutes, hours, day
 * of month, month, day of week, year, of which one of the days is a `?`.
 */
const cron = /^cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)$/;
const rate = /^rate\(([1-9]\d{0,3}) (minute|hour|day)s?\)$/;

/** An alarm looks back 7 days at most (PutMetricAlarm, periods of an hour). */
const alarmHoursMax = 7 * 24;

const expression = z.string().refine((text) => rate.test(text) || isCron(text), {
  error:
    "must be rate(NUMBER minutes|hours|days) or cron(MINUTES HOURS DAY MONTH WEEKDAY YEAR), with a ? for one of the days",
});

const timezone = z.string().refine(isTimeZone, {
  error: "must be a time zone of the IANA database, e.g. Europe/Berlin",
});

const scheduleRules = z
  .strictObject({
    /** Of the schedule, in its deployment. */
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,39}$/, "must be up to 40 of a-z 0-9 -, the first a letter"),
    expression,
    /** Of a cron expression; UTC unless given. */
    timezone: timezone.exactOptional(),
    /** Which backup it continues, or validates; the file's own unless given. */
    backup_id: backupIdRule.exactOptional(),
    /** What it backs up; what the file says unless given. */
    topics: chosenTopics.exactOptional(),
    /** Makes it a validation, of that level. */
    validate: z.enum(["shallow", "deep"]).exactOptional(),
    /**
     * An alarm is raised after so many hours without a good run. Two intervals of a rate unless
     * given, where that is within what an alarm can look back.
     */
    alarm_after_hours: z
      .union([z.int().min(1).max(alarmHoursMax), z.literal("never")], {
        error: `must be a whole number of hours, 1 to ${alarmHoursMax}, or never`,
      })
      .exactOptional(),
  })
  .superRefine((schedule, context) => {
    const refuse = (key: string, message: string) =>
      context.addIssue({ code: "custom", path: [key], message });
    const { expression, timezone, topics, validate, alarm_after_hours } = schedule;
    if (timezone !== undefined && rate.test(expression)) {
      refuse("timezone", "does nothing with a rate, which knows no time of day");
    }
    if (topics !== undefined && validate !== undefined) {
      refuse("topics", "does nothing with validate: the whole backup is validated");
    }
    if (alarm_after_hours === undefined && twoIntervals(expression) === undefined) {
      refuse(
        "alarm_after_hours",
        `is required with this expression: the longest pause between two runs and an hour or two, ` +
          `at most ${alarmHoursMax}, or never`,
      );
    }
  });

export const schedulesRule = z
  .array(scheduleRules)
  .max(100)
  .optional()
  .superRefine((schedules = [], context) => {
    for (const [i, { name }] of schedules.entries()) {
      if (schedules.findIndex((other) => other.name === name) === i) continue;
      context.addIssue({ code: "custom", path: [i, "name"], message: "is used twice" });
    }
  });

/** A schedule with what its file leaves to be derived. */
export interface Schedule {
  readonly name: string;
  readonly expression: string;
  /** Undefined with a rate. */
  readonly timezone: string | undefined;
  readonly backup_id: string;
  readonly topics: z.output<typeof chosenTopics> | undefined;
  /** Undefined where it is a backup. */
  readonly validate: "shallow" | "deep" | undefined;
  /** Undefined where no alarm is wanted. */
  readonly alarm_after_hours: number | undefined;
}

/** `backupId`: of the file. */
export function schedulesOf(
  checked: z.output<typeof schedulesRule>,
  backupId: string,
): readonly Schedule[] {
  return (checked ?? []).map((schedule) => {
    const { expression, timezone, alarm_after_hours } = schedule;
    const hours = alarm_after_hours ?? twoIntervals(expression);
    return {
      name: schedule.name,
      expression,
      timezone: rate.test(expression) ? undefined : (timezone ?? "UTC"),
      backup_id: schedule.backup_id ?? backupId,
      topics: schedule.topics,
      validate: schedule.validate,
      alarm_after_hours: hours === "never" ? undefined : hours,
    };
  });
}

const minutesOf = { minute: 1, hour: 60, day: 24 * 60 } as const;

/** Of a rate, in whole hours; undefined where that is more than an alarm can look back. */
function twoIntervals(expression: string): number | undefined {
  const [, count, unit] = rate.exec(expression) ?? [];
  if (count === undefined) return undefined;
  const minutes = 2 * Number(count) * minutesOf[unit as keyof typeof minutesOf];
  const hours = Math.ceil(minutes / 60);
  return hours <= alarmHoursMax ? hours : undefined;
}

function isCron(text: string): boolean {
  const [, ...fields] = cron.exec(text) ?? [];
  const days = [fields[2], fields[4]];
  return (
    fields.length > 0 &&
    fields.every((field) => /^[0-9A-Z,*/?LW#-]+$/.test(field)) &&
    days.filter((day) => day === "?").length === 1
  );
}

function isTimeZone(name: string): boolean {
  // Node also takes offsets, which the scheduler does not.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}
