import type { Machine } from "#cdk/machines/machine.ts";

const lease = "*/state/lease/*";
const snapshots = "snapshots/*";
const documents = "*/three-phase/*";
const resets = "*/three-phase/*/resets/*";
const report = "*/three-phase/*/report.json";

/** It starts the machines `backup` and `restore`, and stands after them. */
export const threePhaseRestoreMachine: Machine = {
  name: "three-phase-restore",
  functions: {
    "check-three-phase": {
      description: "Checks a request for a three-phase restore, or tells what it would do",
      grants: { read: ["*"] },
      cluster: "both",
      kafka: ["create-topics", "read-topics", "read-groups"],
      usesTable: "write",
    },
    "prepare-three-phase": {
      description: "Takes the lease of restores into the target and keeps where groups stand",
      grants: {
        read: ["*"],
        write: [
          ...[lease, snapshots, "*/three-phase/*/intent.json"],
          ...["*/three-phase/*/snapshot.json", "*/three-phase/*/abandoned.json"],
        ],
        delete: [lease],
      },
      cluster: "both",
      kafka: ["create-topics", "read-topics", "read-groups"],
      usesTable: "write",
    },
    "plan-offset-reset": {
      description: "Plans where consumer groups shall stand in what was restored",
      grants: {
        read: ["*"],
        write: [lease, snapshots, resets, "*/three-phase/*/restored.json", report],
        delete: [lease],
      },
      cluster: "target",
      // An attempt that was cut off is undone here.
      kafka: ["read-topics", "write-groups"],
      usesTable: "write",
    },
    "request-approval": {
      description: "Writes down what is to be approved, and lets go of the lease meanwhile",
      grants: { read: [documents, "*/restores/*", lease], write: [lease, resets], delete: [lease] },
      usesTable: "write",
    },
    "reject-reset": {
      description: "Closes a plan that was not approved",
      grants: { read: [documents, "*/restores/*"], write: [resets] },
    },
    "resume-three-phase": {
      description: "Takes the lease again after an approval",
      grants: { read: [documents, lease], write: [lease], delete: [lease] },
      usesTable: "write",
    },
    "reset-offsets": {
      description: "Sets the committed offsets of consumer groups as planned",
      grants: {
        read: [documents, "*/restores/*", snapshots, lease],
        write: [lease, report],
        delete: [lease],
      },
      cluster: "target",
      kafka: ["read-topics", "write-groups"],
      usesTable: "write",
    },
    "undo-offset-reset": {
      description: "Puts consumer groups back to where they stood before a reset",
      grants: {
        read: [documents, "*/restores/*", snapshots, lease],
        write: [lease, resets],
        delete: [lease],
      },
      cluster: "target",
      kafka: ["read-topics", "write-groups"],
      usesTable: "write",
    },
    "fail-three-phase": {
      description: "Lets go of a failed three-phase restore's lease",
      grants: { read: [lease], write: [lease], delete: [lease] },
      usesTable: "write",
    },
  },
};
