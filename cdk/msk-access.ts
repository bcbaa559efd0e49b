/**
 * What roles may do at an Amazon MSK cluster that asks IAM.
 * https://docs.aws.amazon.com/msk/latest/developerguide/kafka-actions.html
 */
import { Arn, ArnFormat } from "aws-cdk-lib";
import { PolicyStatement, type Role } from "aws-cdk-lib/aws-iam";
import { acknowledgePattern } from "#cdk/findings.ts";
import type { KafkaUse } from "#cdk/machines/machine.ts";

type Resource = "cluster" | "topic" | "group";
type Actions = Readonly<Partial<Record<Resource, readonly string[]>>>;

const describe = ["DescribeTopic", "DescribeTopicDynamicConfiguration"];

/** Records are fetched without a group, so that reading needs no right on groups. */
const actionsOf: Readonly<Record<KafkaUse, Actions>> = {
  "read-topics": { topic: [...describe, "ReadData"] },
  "write-topics": {
    cluster: ["WriteDataIdempotently"],
    topic: [...describe, "AlterTopicDynamicConfiguration", "ReadData", "WriteData"],
  },
  "create-topics": { topic: [...describe, "CreateTopic", "AlterTopicDynamicConfiguration"] },
  "read-groups": { group: ["DescribeGroup"] },
  // To commit offsets is to read the topic, for Kafka.
  "write-groups": {
    topic: ["DescribeTopic", "ReadData"],
    group: ["DescribeGroup", "AlterGroup", "DeleteGroup"],
  },
};

const always: Actions = { cluster: ["Connect", "DescribeCluster"] };

/** `clusterArn`: `arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID`. */
export function grantMskAccess(role: Role, clusterArn: string, uses: readonly KafkaUse[]): void {
  const granted = [always, ...uses.map((use) => actionsOf[use])];
  for (const resource of ["cluster", "topic", "group"] as const) {
    const actions = new Set(granted.flatMap((each) => each[resource] ?? []));
    if (actions.size === 0) continue;
    const arn = resource === "cluster" ? clusterArn : anyOf(resource, clusterArn);
    role.addToPolicy(
      new PolicyStatement({
        actions: [...actions].map((action) => `kafka-cluster:${action}`),
        resources: [arn],
      }),
    );
    if (resource === "cluster") continue;
    acknowledgePattern(role, arn, `Names of ${resource}s come with an execution's input.`);
  }
}

/** `arn:aws:kafka:REGION:ACCOUNT:topic/NAME/UUID/*` */
function anyOf(resource: "topic" | "group", clusterArn: string): string {
  const {
    resource: _,
    resourceName,
    ...place
  } = Arn.split(clusterArn, ArnFormat.SLASH_RESOURCE_NAME);
  return Arn.format({ ...place, resource, resourceName: `${resourceName}/*` });
}
