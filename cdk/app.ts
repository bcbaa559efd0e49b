/** `cdk synth` and `cdk deploy`: one stack with one `KafkaBackup`. */
import { App, CfnOutput, Stack } from "aws-cdk-lib";
import { SecurityGroup, Vpc } from "aws-cdk-lib/aws-ec2";
import { type ISecret, Secret } from "aws-cdk-lib/aws-secretsmanager";
import type { Network } from "#cdk/backup-function.ts";
import { KafkaBackup } from "#cdk/kafka-backup.ts";
import { pascalCase } from "#cdk/names.ts";
import { type DeploySettings, readSettings } from "#cdk/settings.ts";

const app = new App();
const settings = readSettings((name) => app.node.tryGetContext(name));
const { stage, secret_arn, target_secret_arn } = settings;
const stack = new Stack(app, settings.stack, {
  description: "Backups of an Apache Kafka cluster",
  terminationProtection: stage === "aws",
});
const kafkaBackup = new KafkaBackup(stack, "KafkaBackup", {
  configFile: settings.config,
  restoreConfigFile: settings.restore_config,
  env: process.env,
  stage,
  encryption: settings.encryption,
  maxConcurrency: settings.max_concurrency,
  workerMemoryMb: settings.worker_memory_mb,
  reservedConcurrency: settings.reserved_concurrency,
  objectLock: settings.object_lock,
  alarmEmail: settings.alarm_email,
  runbook: settings.runbook,
  clusterArn: settings.cluster_arn,
  targetClusterArn: settings.target_cluster_arn,
  network: networkOf(stack, settings),
  login: secretOf("Login", secret_arn),
  targetLogin: secretOf("TargetLogin", target_secret_arn),
});
for (const [name, { stateMachine }] of kafkaBackup.workflows) {
  const output = `${pascalCase(name)}StateMachineArn`;
  new CfnOutput(stack, output, { value: stateMachine.stateMachineArn });
}
new CfnOutput(stack, "BucketName", { value: kafkaBackup.bucket.bucketName });
const { encryptionKey } = kafkaBackup.bucket;
if (encryptionKey !== undefined) {
  new CfnOutput(stack, "BucketKeyArn", { value: encryptionKey.keyArn });
}
new CfnOutput(stack, "TableName", { value: kafkaBackup.table.tableName });
new CfnOutput(stack, "AlarmTopicArn", { value: kafkaBackup.alarmTopic.topicArn });

function secretOf(id: string, arn: string | undefined): ISecret | undefined {
  return arn === undefined ? undefined : Secret.fromSecretCompleteArn(stack, id, arn);
}

/** Named by their ids: nothing is looked up, so that a synthesis needs no account. */
function networkOf(
  scope: Stack,
  { vpc_id, subnet_ids, security_group_ids }: DeploySettings,
): Network | undefined {
  if (vpc_id === undefined || subnet_ids === undefined || security_group_ids === undefined) {
    return undefined;
  }
  return {
    vpc: Vpc.fromVpcAttributes(scope, "Vpc", {
      vpcId: vpc_id,
      // Only counted: each subnet has one.
      availabilityZones: subnet_ids.map((_, i) => `zone-${i}`),
      privateSubnetIds: subnet_ids,
    }),
    securityGroups: security_group_ids.map((id) =>
      SecurityGroup.fromSecurityGroupId(scope, id, id),
    ),
  };
}
