import { expect, test } from "vitest";
import { parseDeployment, restoreIntoSource } from "#core/config/deployment.ts";
import { askedThreePhase, restoreInputOf, threePhaseInput } from "#core/three-phase/steps/input.ts";
import { restoreInput } from "#functions/plan-restore.ts";
import { documentedInput } from "#test/functions/machine-readme.ts";

const { examples, fields } = documentedInput("three-phase-restore");

const backup = parseDeployment(
  JSON.stringify({
    mode: "backup",
    backup_id: "orders",
    source: { bootstrap_servers: ["kafka:9092"], topics: { include: ["orders"] } },
    storage: { backend: "s3", bucket: "backups" },
  }),
  { fileName: "backup.json", env: {}, logins: {} },
);
const restore = restoreIntoSource(backup);
const asked = (input: object) => askedThreePhase(threePhaseInput.parse(input), restore, backup);

test("there are examples to paste", () => {
  expect(examples.length).toBeGreaterThanOrEqual(3);
});

test.each(examples)("the example %s is an input that the machine takes", (json) => {
  expect(() => asked(JSON.parse(json))).not.toThrow();
});

test("the document names every field, and no others", () => {
  const named = fields.filter((field) => !field.startsWith("topics."));
  expect(named).toEqual(Object.keys(threePhaseInput.shape));
});

test("the restore within is asked for what the input says of it, also after a way through JSON", () => {
  const input = threePhaseInput.parse({
    consumer_groups: ["billing"],
    topics: { include: ["orders"] },
    time_window_end: "2026-01-31T10:30:00Z",
    approval: true,
    turn_ms: 5,
  });
  const within = restoreInputOf(input, { lease: { owner: "a", token: 3 }, start_new: true });
  const text = JSON.stringify(within, (_, value) =>
    typeof value === "bigint" ? `${value}` : value,
  );
  expect(restoreInput.parse(JSON.parse(text))).toEqual({
    topics: { include: ["orders"], exclude: [] },
    time_window_end: 1_769_855_400_000n,
    ...{ dry_run: false, new: true, turn_ms: 5 },
    held: { lease: { owner: "a", token: 3 } },
  });
});

test("who names groups does not mean all, which the deployment means", () => {
  const all = { ...restore, restore: { ...restore.restore, auto_consumer_groups: true } };
  const named = threePhaseInput.parse({ consumer_groups: ["billing"] });
  expect(askedThreePhase(named, all, backup).request.groups).toEqual({ groups: ["billing"] });
  expect(askedThreePhase(threePhaseInput.parse({}), all, backup).request.groups).toEqual({
    all: true,
  });
});

test("the backup before it is what the deployment backs up, into the backup that is restored", () => {
  const input = { consumer_groups: ["billing"], backup_id: "team", backup_first: true };
  expect(asked(input).request.backup_first).toMatchObject({
    backup_id: "team",
    topics: { include: ["orders"] },
  });
});
