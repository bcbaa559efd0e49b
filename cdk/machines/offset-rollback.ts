import type { Machine } from "#cdk/machines/machine.ts";

const snapshots = "snapshots/*";

export const offsetRollbackMachine: Machine = {
  name: "offset-rollback",
  functions: {
    "snapshot-offsets": {
      description: "Checks a rollback of consumer groups and keeps where they stand now",
      grants: { read: [snapshots], write: [snapshots] },
      cluster: "both",
      kafka: ["read-topics", "read-groups"],
      usesTable: "write",
    },
    "rollback-offsets": {
      description: "Puts consumer groups back to where a snapshot says that they stood",
      grants: { read: [snapshots] },
      cluster: "both",
      kafka: ["read-topics", "write-groups"],
    },
  },
};
