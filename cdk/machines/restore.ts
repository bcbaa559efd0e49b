import type { Machine } from "#cdk/machines/machine.ts";

const lease = "*/state/lease/*";
const restores = "*/restores/*";
/** What workers leave about failures. */
const outcomes = ["*/restores/*/work/*/failed/*", "*/restores/*/work/*/circuit-open.json"];
const manifests = "*/manifests/*";
/** What a backup holds, as manifests name it. */
const archive = [manifests, "*/runs/*", "*/topics/*"];

export const restoreMachine: Machine = {
  name: "restore",
  planner: "create-topics",
  itemLists: "*/restores/*/work/*/items.json",
  functions: {
    "plan-restore": {
      description: "Checks the request, takes the lease of restores into the target and plans one",
      grants: { read: ["*"], write: [lease, "*/restores/*/intent.json"], delete: [lease] },
      cluster: "target",
      kafka: ["create-topics"],
      usesTable: "write",
    },
    "create-topics": {
      description: "Makes the target's topics, and their settings, ready for a restore",
      grants: {
        read: [manifests, restores, lease],
        write: [lease, "*/restores/*/targets/*", "*/restores/*/work/*"],
        delete: [lease],
      },
      cluster: "target",
      kafka: ["create-topics", "write-topics"],
      usesTable: "write",
    },
    "restore-partition": {
      description: "Sends the records of a backup's partitions to a Kafka cluster",
      grants: {
        read: [...archive, restores, lease],
        write: [lease, "*/restores/*/partitions/*", ...outcomes],
        delete: [lease],
      },
      cluster: "target",
      kafka: ["write-topics"],
      usesTable: "write",
      isWorker: true,
    },
    "verify-partition": {
      description: "Compares what a Kafka cluster holds after a restore with the backup",
      grants: {
        read: [...archive, restores, lease],
        write: [lease, "*/restores/*/partitions/*", ...outcomes],
        delete: [lease],
      },
      cluster: "target",
      kafka: ["read-topics"],
      usesTable: "write",
      isWorker: true,
    },
    "fail-restore-partition": {
      description: "Writes down which partitions of a restore failed",
      grants: { read: [restores], write: outcomes },
    },
    "finish-topics": {
      description: "Puts back the settings of topics that are restored and verified",
      grants: {
        read: [restores, lease],
        write: [lease, "*/restores/*/restored/*"],
        delete: [lease],
      },
      cluster: "target",
      kafka: ["write-topics"],
      usesTable: "write",
    },
    "finish-restore": {
      description: "Writes the report of a restore",
      grants: {
        read: [restores, lease],
        write: [lease, "*/restores/*/report.json"],
        delete: [lease],
      },
      usesTable: "write",
    },
    "fail-restore": {
      description: "Lets go of a failed restore's lease",
      grants: { read: [lease], write: [lease], delete: [lease] },
      usesTable: "write",
    },
  },
};
