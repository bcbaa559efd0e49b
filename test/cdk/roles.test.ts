import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Match } from "aws-cdk-lib/assertions";
import { afterAll, describe, expect, test } from "vitest";
import { machines } from "#cdk/machines/all.ts";
import type { MachineFunction } from "#cdk/machines/machine.ts";
import { pascalCase } from "#cdk/names.ts";
import {
  fullProps,
  type Statement,
  secretArn,
  statementsByRole,
  synthesize,
} from "#test/cdk/synthesis.ts";

const plain = synthesize();
const full = synthesize(fullProps);
afterAll(() => {
  plain.remove();
  full.remove();
});

const roles = statementsByRole(plain.template);
const resourcesOf = (role: string, action: string) =>
  (roles[role] ?? []).filter(({ actions }) => actions.includes(action)).flatMap((s) => s.resources);
const rolesWith = (action: string) =>
  Object.keys(roles)
    .filter((role) => resourcesOf(role, action).length > 0)
    .sort();

/** By the names of their roles. */
const functions = machines.flatMap((machine) =>
  Object.entries(machine.functions).map(([name, as]) => ({ role: pascalCase(name), ...as })),
);
const rolesOf = (wanted: (as: MachineFunction) => boolean) =>
  functions
    .filter(wanted)
    .map(({ role }) => role)
    .sort();

describe("S6 roles", () => {
  test("each function has one of its own, and so has each machine, and what starts them", () => {
    const deployed = Object.values(plain.template.findResources("AWS::Lambda::Function"));
    const used = new Set(deployed.map(({ Properties }) => JSON.stringify(Properties.Role)));
    expect(used.size).toBe(functions.length);
    const ofMachines = machines.map(({ name }) => `${pascalCase(name)}Workflow`);
    const all = [...functions.map(({ role }) => role), ...ofMachines, "SchedulesBackup"];
    expect(Object.keys(roles).sort()).toEqual(all.sort());
  });

  test("none may do everything with anything, or use a policy of AWS's", () => {
    const all = Object.values(roles).flat();
    expect(all.flatMap(({ actions }) => actions).filter((name) => /\*/.test(name))).toEqual([]);
    const anywhere = all.filter(({ resources }) => resources.includes("*"));
    const named = new Set(anywhere.flatMap(({ actions }) => actions.map(serviceOf)));
    expect([...named].sort()).toEqual(["logs", "xray"]);
    plain.template.allResourcesProperties("AWS::IAM::Role", {
      ManagedPolicyArns: Match.absent(),
    });
  });

  test("only state of runs and leases may be deleted, and by a worker of backups only leases", () => {
    for (const role of rolesWith("s3:DeleteObject")) {
      for (const resource of resourcesOf(role, "s3:DeleteObject")) {
        expect(resource).toMatch(/^\{bucket\}\/\*\/state\//);
      }
    }
    expect(resourcesOf("BackupPartition", "s3:DeleteObject")).toEqual(["{bucket}/*/state/lease/*"]);
    expect(rolesWith("s3:DeleteObject")).not.toContain("FailPartition");
    const everything = Object.values(roles).flatMap((each) => each.flatMap((s) => s.actions));
    for (const action of [
      ...["s3:DeleteObjectVersion", "s3:PutBucketPolicy", "s3:BypassGovernanceRetention"],
    ]) {
      expect(everything).not.toContain(action);
    }
  });

  test("only the last step of backups may write manifests, only its worker segments", () => {
    const writers = (key: string) =>
      Object.keys(roles).filter((role) =>
        resourcesOf(role, "s3:PutObject").some((resource) => resource.endsWith(key)),
      );
    expect(writers("/*/manifests/*")).toEqual(["FinishBackup"]);
    expect(writers("/*/topics/*")).toEqual(["BackupPartition"]);
    expect(resourcesOf("BackupPartition", "s3:PutObject")).toEqual([
      "{bucket}/*/state/*",
      "{bucket}/*/topics/*",
    ]);
  });

  test("a validation writes its report and its own state, removes no more, and meets no cluster", () => {
    const { functions: own } = machines.find(({ name }) => name === "validate")!;
    const ofRoles = (action: string) =>
      new Set(Object.keys(own).flatMap((name) => resourcesOf(pascalCase(name), action)));
    const state = "{bucket}/*/state/validations/*";
    expect(ofRoles("s3:PutObject")).toEqual(new Set([state, "{bucket}/*/validations/*"]));
    expect(ofRoles("s3:DeleteObject")).toEqual(new Set([state]));
    expect(ofRoles("dynamodb:Query")).toEqual(new Set());
    expect(Object.values(own).flatMap(({ cluster }) => cluster ?? [])).toEqual([]);
  });

  test.each(machines)(
    "machine $name may invoke what its file names, and read its work items",
    (machine) => {
      const role = `${pascalCase(machine.name)}Workflow`;
      const file = join(import.meta.dirname, `../../statemachines/${machine.name}.asl.json`);
      const named = [...readFileSync(file, "utf8").matchAll(/\$\{(\w+)FunctionArn\}/g)];
      const invoked = resourcesOf(role, "lambda:InvokeFunction").map(
        (id) => /^KafkaBackup(\w+?)Function[0-9A-F]{8}$/.exec(id)?.[1],
      );
      expect(invoked.sort()).toEqual([...new Set(named.map(([, name]) => name))].sort());
      const items = machine.itemLists === undefined ? [] : [`{bucket}/${machine.itemLists}`];
      expect(resourcesOf(role, "s3:GetObject")).toEqual(items);
    },
  );

  test("a machine with a Map may start its own children", () => {
    for (const { name, itemLists } of machines) {
      const workflow = `${pascalCase(name)}Workflow`;
      const own = resourcesOf(workflow, "states:StartExecution").filter((id) =>
        id.startsWith(`KafkaBackup${workflow}`),
      );
      expect([name, own.length > 0]).toEqual([name, itemLists !== undefined]);
    }
  });

  test("the login's secret is read by those who talk to Kafka, and by no others", () => {
    const readsSecrets = ({ actions }: Statement) =>
      actions.includes("secretsmanager:GetSecretValue");
    const readers = Object.entries(statementsByRole(full.template)).filter(([, statements]) =>
      statements.some(readsSecrets),
    );
    expect(readers.map(([role]) => role).sort()).toEqual(
      rolesOf(({ cluster }) => cluster !== undefined),
    );
    const secrets = readers.flatMap(([, statements]) => statements.filter(readsSecrets));
    expect(new Set(secrets.flatMap(({ resources }) => resources))).toEqual(new Set([secretArn]));
  });

  test("the table is for those who keep the catalogue; only who closes runs removes items", () => {
    const keepers = rolesOf(({ usesTable }) => usesTable !== undefined);
    expect(rolesWith("dynamodb:PutItem")).toEqual(keepers);
    expect(rolesWith("dynamodb:Query")).toEqual(keepers);
    expect(rolesWith("dynamodb:BatchWriteItem")).toEqual(
      rolesOf(({ usesTable }) => usesTable === "remove"),
    );
    expect(keepers).not.toContain("FailPartition");
    const tables = Object.keys(plain.template.findResources("AWS::DynamoDB::Table"));
    expect(new Set(resourcesOf("PlanBackup", "dynamodb:PutItem"))).toEqual(new Set(tables));
  });

  const serviceOf = (action: string) => action.split(":")[0]!;
});
