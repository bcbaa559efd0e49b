import { afterAll, expect, test } from "vitest";
import { statementsByRole, synthesize } from "#test/cdk/synthesis.ts";

const synthesis = synthesize();
afterAll(() => synthesis.remove());

test("S6 a machine that starts others may start and wait for these, by one rule, and for no more", () => {
  const roles = statementsByRole(synthesis.template);
  const nested = roles.ThreePhaseRestoreWorkflow!.filter(({ actions }) =>
    actions.some((name) => /^(states|events):/.test(name)),
  );
  const idsOf = (resources: readonly string[]) =>
    resources.map((each) => each.replace(/[0-9A-F]{8}$/, ""));
  const [start, follow, rule] = nested;
  expect(start!.actions).toEqual(["states:StartExecution"]);
  expect(idsOf(start!.resources)).toEqual([
    "KafkaBackupBackupWorkflowStateMachine",
    "KafkaBackupRestoreWorkflowStateMachine",
  ]);
  expect(follow!.actions).toEqual(["states:DescribeExecution", "states:StopExecution"]);
  for (const each of follow!.resources) {
    expect(each).toMatch(/execution:KafkaBackup(Backup|Restore)Workflow.*\/\*$/);
  }
  expect(rule!.actions).toEqual(["events:PutTargets", "events:PutRule", "events:DescribeRule"]);
  expect(rule!.resources).toEqual([
    expect.stringMatching(/:rule\/StepFunctionsGetEventsForStepFunctionsExecutionRule$/),
  ]);
  expect(nested).toHaveLength(3);
});

test("S6 who asks for an approval may tell the topic of it, and no other machine may", () => {
  const roles = statementsByRole(synthesis.template);
  const tellers = Object.keys(roles).filter((role) =>
    roles[role]!.some(({ actions }) => actions.includes("sns:Publish")),
  );
  expect(tellers).toEqual(["ThreePhaseRestoreWorkflow"]);
});
