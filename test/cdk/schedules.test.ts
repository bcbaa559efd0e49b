import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Match } from "aws-cdk-lib/assertions";
import { afterAll, describe, expect, test } from "vitest";
import { type Statement, statementsByRole, synthesize } from "#test/cdk/synthesis.ts";

const folder = mkdtempSync(join(tmpdir(), "kafka-backup-schedules-"));

function configWith(schedules: readonly object[]): string {
  const file = join(folder, `${schedules.length}.json`);
  const source = { bootstrap_servers: "kafka:9092", topics: { include: ["*"] } };
  const storage = { backend: "s3", bucket: "example-bucket" };
  const config = { mode: "backup", backup_id: "orders", source, storage, schedules };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

const nightly = {
  name: "nightly",
  expression: "cron(30 2 * * ? *)",
  timezone: "Europe/Berlin",
  backup_id: "payments",
  topics: { include: ["payments-*"], exclude: ["*-tmp"] },
  alarm_after_hours: 26,
};
const weekly = {
  ...{ name: "weekly", expression: "cron(0 4 ? * SUN *)" },
  ...{ validate: "deep", alarm_after_hours: "never" },
};
const hourly = { name: "hourly", expression: "rate(1 hour)" };
const configFile = configWith([hourly, nightly, weekly]);
const scheduled = synthesize(() => ({ configFile }));
const plain = synthesize(() => ({ configFile: configWith([]) }));
afterAll(() => {
  scheduled.remove();
  plain.remove();
  rmSync(folder, { recursive: true });
});

interface Target {
  readonly Arn: { readonly Ref: string };
  readonly RoleArn: { readonly "Fn::GetAtt": readonly [string, string] };
  readonly Input: string;
}

/** By the schedule's name in its logical id. */
function targetOf(name: string): Target {
  const schedules = scheduled.template.findResources("AWS::Scheduler::Schedule");
  const [, found] = Object.entries(schedules).find(([id]) => id.includes(`Schedules${name}`))!;
  return (found as { Properties: { Target: Target } }).Properties.Target;
}

describe("schedules", () => {
  test("start the backup machine for their backup, and pass over a run that is under way", () => {
    expect(targetOf("Hourly").Arn.Ref).toMatch(/BackupWorkflow/);
    expect(JSON.parse(targetOf("Hourly").Input)).toEqual({
      ...{ backup_id: "orders", if_running: "skip" },
    });
    expect(JSON.parse(targetOf("Nightly").Input)).toEqual({
      ...{ backup_id: "payments", topics: nightly.topics, if_running: "skip" },
    });
  });

  test("that validate start the validate machine at their level", () => {
    expect(targetOf("Weekly").Arn.Ref).toMatch(/ValidateWorkflow/);
    expect(JSON.parse(targetOf("Weekly").Input)).toEqual({ backup_id: "orders", level: "deep" });
  });

  test("fire at the time of their zone, to the minute", () => {
    scheduled.template.hasResourceProperties("AWS::Scheduler::Schedule", {
      ScheduleExpression: nightly.expression,
      ScheduleExpressionTimezone: "Europe/Berlin",
      FlexibleTimeWindow: { Mode: "OFF" },
      State: "ENABLED",
    });
  });

  test("try for an hour to start an execution, and keep what could not be started", () => {
    scheduled.template.allResourcesProperties("AWS::Scheduler::Schedule", {
      Target: Match.objectLike({
        RetryPolicy: { MaximumEventAgeInSeconds: 3_600, MaximumRetryAttempts: 20 },
        DeadLetterConfig: { Arn: Match.anyValue() },
      }),
    });
    scheduled.template.hasResourceProperties("AWS::SQS::Queue", {
      MessageRetentionPeriod: 14 * 24 * 3_600,
      SqsManagedSseEnabled: true,
    });
  });

  test("are not there, nor what belongs to them, where the configuration has none", () => {
    for (const type of ["AWS::Scheduler::Schedule", "AWS::SQS::Queue"]) {
      plain.template.resourceCountIs(type, 0);
    }
    const roles = Object.keys(statementsByRole(plain.template));
    expect(roles.filter((role) => role.startsWith("Schedules"))).toEqual([]);
  });

  test("S6 have a role for each machine, which may start it and keep what did not start", () => {
    const roles = Object.entries(statementsByRole(scheduled.template)).filter(([role]) =>
      role.startsWith("Schedules"),
    );
    const actionsOf = (statements: readonly Statement[]) => statements.flatMap((s) => s.actions);
    expect(roles.map(([role]) => role).sort()).toEqual(["SchedulesBackup", "SchedulesValidate"]);
    for (const [role, statements] of roles) {
      expect(actionsOf(statements).sort()).toEqual(["sqs:SendMessage", "states:StartExecution"]);
      const started = statements.find(({ actions }) => actions.includes("states:StartExecution"));
      expect(started!.resources).toEqual([
        expect.stringMatching(role.replace("Schedules", "KafkaBackup").concat("Workflow")),
      ]);
    }
    scheduled.template.hasResourceProperties("AWS::IAM::Role", {
      AssumeRolePolicyDocument: {
        Statement: [
          Match.objectLike({
            Principal: { Service: "scheduler.amazonaws.com" },
            Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
          }),
        ],
      },
    });
  });
});
