import type { Machine } from "#cdk/machines/machine.ts";

const state = "*/state/validations/*";

/** Asks the bucket alone, as the command line does: the table vouches for nothing. */
export const validateMachine: Machine = {
  name: "validate",
  planner: "begin-validation",
  itemLists: "*/state/validations/*/items.json",
  functions: {
    "begin-validation": {
      description: "Checks a request to validate a backup, and reads its manifests",
      grants: { read: ["*"], write: [state], delete: [state] },
    },
    "plan-validation": {
      description: "Reads which segments a backup names, for workers to look at",
      grants: { read: ["*"], write: [state] },
    },
    "validate-segments": {
      description: "Looks at segments of a backup, shallow or deep",
      grants: { read: ["*/topics/*", state], write: [state] },
      isWorker: true,
    },
    "fail-segments": {
      description: "Writes down which segments could not be looked at",
      grants: { read: [state], write: [state] },
    },
    "finish-validation": {
      description: "Stores the report of a validation",
      grants: { read: ["*"], write: ["*/validations/*"], delete: [state] },
    },
  },
};
