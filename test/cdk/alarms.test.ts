import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Match } from "aws-cdk-lib/assertions";
import { afterAll, describe, expect, test } from "vitest";
import { machines } from "#cdk/machines/all.ts";
import { synthesize } from "#test/cdk/synthesis.ts";

const root = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "kafka-backup-alarms-"));
const configFile = join(folder, "backup.json");
writeFileSync(
  configFile,
  JSON.stringify({
    ...{ mode: "backup", backup_id: "orders" },
    source: { bootstrap_servers: "kafka:9092", topics: { include: ["*"] } },
    storage: { backend: "s3", bucket: "example-bucket" },
    schedules: [
      { name: "hourly", expression: "rate(1 hour)" },
      { name: "nightly", expression: "cron(0 3 * * ? *)", alarm_after_hours: "never" },
      { name: "deep", expression: "rate(3 days)", validate: "deep", backup_id: "payments" },
    ],
  }),
);
const { template, remove } = synthesize(() => ({ configFile, alarmEmail: "sre@example.org" }));
const told = synthesize(() => ({ configFile, runbook: "https://wiki.example.org/operations" }));
afterAll(() => {
  remove();
  told.remove();
  rmSync(folder, { recursive: true });
});

interface Alarm {
  readonly AlarmName: string;
  readonly AlarmDescription: string;
  readonly AlarmActions: readonly object[];
  readonly OKActions: readonly object[];
  readonly Namespace: string;
  readonly MetricName: string;
  readonly Statistic: string;
  readonly Dimensions: readonly { Name: string; Value: unknown }[];
  readonly ComparisonOperator: string;
  readonly Threshold: number;
  readonly Period: number;
  readonly EvaluationPeriods: number;
  readonly TreatMissingData: string;
}

const alarms = Object.values(template.findResources("AWS::CloudWatch::Alarm")).map(
  ({ Properties }) => Properties as Alarm,
);
const alarm = (name: string) => alarms.find(({ AlarmName }) => AlarmName.endsWith(`-${name}`))!;
const service = { Name: "service", Value: alarm("gap").AlarmName.slice(0, -"-gap".length) };

describe("alarms", () => {
  test("there are those that a deployment needs", () => {
    const ofMachines = machines.flatMap(({ name }) => [`${name}-failed`, `${name}-timed-out`]);
    const names = alarms.map(({ AlarmName }) => AlarmName.replace(`${service.Value}-`, ""));
    expect(names.toSorted()).toEqual(
      [
        ...ofMachines,
        ...["gap", "partition-failed", "restored-partition-failed"],
        ...["lease-stuck", "validation-failed"],
        ...["schedule-hourly-overdue", "schedule-deep-overdue", "schedule-not-started"],
      ].sort(),
    );
  });

  test("say what happened, and lead to a heading of the document that says what to do", () => {
    const operations = readFileSync(join(root, "docs/operations.md"), "utf8");
    const anchors = [...operations.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
      anchorOf(heading!),
    );
    for (const { AlarmDescription } of alarms) {
      const [, anchor] = / What to do: docs\/operations\.md#(\S+)$/.exec(AlarmDescription) ?? [];
      expect(anchors).toContain(anchor);
    }
  });

  test("lead to where the document can be read, where that is said", () => {
    told.template.allResourcesProperties("AWS::CloudWatch::Alarm", {
      AlarmDescription: Match.stringLikeRegexp("https://wiki.example.org/operations#[a-z-]+$"),
    });
  });

  test("are told to the topic when they begin and when they end", () => {
    for (const { AlarmActions, OKActions } of alarms) {
      expect(AlarmActions).toEqual([{ Ref: expect.stringMatching(/^KafkaBackupAlarmTopic/) }]);
      expect(OKActions).toEqual(AlarmActions);
    }
  });

  test.each([
    ["gap", "Gaps", "Sum", 1],
    ["partition-failed", "FailedPartitions", "Sum", 1],
    ["restored-partition-failed", "FailedRestoredPartitions", "Sum", 1],
    ["validation-failed", "ValidationFindings", "Sum", 1],
    ["lease-stuck", "LeaseHeldFor", "Maximum", 12 * 3_600],
  ])("%s looks at all backups of the deployment together", (name, metric, statistic, threshold) => {
    expect(alarm(name)).toMatchObject({
      ...{ Namespace: "KafkaBackup", MetricName: metric, Statistic: statistic },
      ...{ Dimensions: [service], Threshold: threshold, EvaluationPeriods: 1 },
      ComparisonOperator: "GreaterThanOrEqualToThreshold",
      TreatMissingData: "notBreaching",
    });
  });

  test.each([
    ["hourly", "orders", "GoodRuns", "Sum", 2],
    ["deep", "payments", "ValidationFindings", "SampleCount", 144],
  ])("no good run of schedule %s in time, or no sign at all", (name, id, metric, stat, hours) => {
    const found = alarm(`schedule-${name}-overdue`);
    expect(found).toMatchObject({
      ...{ Namespace: "KafkaBackup", MetricName: metric, Statistic: stat, Period: 3_600 },
      ...{ EvaluationPeriods: hours, Threshold: 1, ComparisonOperator: "LessThanThreshold" },
      TreatMissingData: "breaching",
    });
    expect(found.Dimensions.toSorted((a, b) => a.Name.localeCompare(b.Name))).toEqual([
      { Name: "backup_id", Value: id },
      service,
    ]);
    // CloudWatch's limit.
    expect(found.Period * found.EvaluationPeriods).toBeLessThanOrEqual(604_800);
  });

  test("a failed or endless execution of each machine", () => {
    for (const { name } of machines) {
      const failed = { Namespace: "AWS/States", Statistic: "Sum", Threshold: 1 };
      expect(alarm(`${name}-failed`)).toMatchObject({ ...failed, MetricName: "ExecutionsFailed" });
      expect(alarm(`${name}-timed-out`)).toMatchObject({
        ...failed,
        MetricName: "ExecutionsTimedOut",
      });
    }
  });

  test("what they and the dashboard look at is what functions measure", () => {
    const functions = readdirSync(join(root, "functions"))
      .map((file) => readFileSync(join(root, "functions", file), "utf8"))
      .join("\n");
    const [dashboard] = Object.values(template.findResources("AWS::CloudWatch::Dashboard"));
    const shown = JSON.stringify(dashboard).matchAll(/MetricName=[\\"]+(\w+)/g);
    const alarmed = alarms.filter(({ Namespace }) => Namespace === "KafkaBackup");
    const names = [...shown].map(([, name]) => name!);
    for (const { MetricName } of alarmed) names.push(MetricName);
    expect(names.length).toBeGreaterThan(12);
    for (const name of new Set(names)) expect(functions).toMatch(new RegExp(`\\b${name}: \\[`));
  });
});

describe("S7 the topic of alarms", () => {
  test("is encrypted with a key that CloudWatch may use, and takes nothing but TLS", () => {
    template.hasResourceProperties("AWS::SNS::Topic", { KmsMasterKeyId: Match.anyValue() });
    template.hasResourceProperties("AWS::KMS::Key", {
      EnableKeyRotation: true,
      KeyPolicy: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Principal: { Service: "cloudwatch.amazonaws.com" },
            Action: Match.arrayWith(["kms:Decrypt"]),
          }),
        ]),
      },
    });
    template.hasResourceProperties("AWS::SNS::TopicPolicy", {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Effect: "Deny",
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          }),
          Match.objectLike({
            Effect: "Allow",
            Action: "sns:Publish",
            Principal: { Service: "cloudwatch.amazonaws.com" },
            Condition: { StringEquals: { "aws:SourceAccount": { Ref: "AWS::AccountId" } } },
          }),
        ]),
      },
    });
  });

  test("mails to whom it is told to, and to nobody else", () => {
    template.hasResourceProperties("AWS::SNS::Subscription", {
      ...{ Protocol: "email", Endpoint: "sre@example.org" },
    });
    told.template.resourceCountIs("AWS::SNS::Subscription", 0);
  });
});

/** As GitHub makes it of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
}
