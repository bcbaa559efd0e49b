import type { Machine } from "#cdk/machines/machine.ts";

const lease = "*/state/lease/*";
const state = "*/state/*";

export const backupMachine: Machine = {
  name: "backup",
  planner: "plan-backup",
  itemLists: "*/state/runs/*/work/*/items.json",
  functions: {
    "plan-backup": {
      description: "Checks the request, takes the backup's lease and plans a run",
      grants: { read: ["*"], write: [state], delete: [state] },
      cluster: "source",
      kafka: ["read-topics", "read-groups"],
      usesTable: "remove",
    },
    "backup-partition": {
      description: "Reads partitions of a Kafka cluster into the bucket",
      grants: { read: [state], write: [state, "*/topics/*"], delete: [lease] },
      cluster: "source",
      kafka: ["read-topics"],
      usesTable: "write",
      isWorker: true,
    },
    "fail-partition": {
      description: "Writes down which partitions failed",
      grants: {
        read: [state],
        write: ["*/state/runs/*/work/*/failed/*", "*/state/runs/*/work/*/circuit-open.json"],
      },
    },
    "judge-backup": {
      description: "Reads what failed in a run",
      grants: { read: [state], write: [lease], delete: [lease] },
      usesTable: "write",
    },
    "finish-backup": {
      description: "Commits a run by its manifest",
      grants: {
        read: ["*"],
        write: ["*/manifests/*", "*/manifest.json", "*/runs/*", lease],
        delete: [state],
      },
      usesTable: "remove",
    },
    "fail-backup": {
      description: "Lets go of a failed run's lease",
      grants: { read: [lease], write: [lease], delete: [lease] },
      usesTable: "write",
    },
  },
};
