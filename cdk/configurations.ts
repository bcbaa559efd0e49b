/** Reads a deployment's configuration files, and refuses what does not go together. */
import { readFileSync } from "node:fs";
import { Token } from "aws-cdk-lib";
import type { KafkaBackupProps } from "#cdk/kafka-backup.ts";
import {
  type DeployedConfig,
  type DeployedRestoreConfig,
  type Logins,
  parseDeployment,
  parseRestoreDeployment,
  parseSchedules,
  restoreIntoSource,
} from "#core/config/deployment.ts";
import type { Schedule } from "#core/config/schedules.ts";
import { BackupError } from "#core/errors.ts";

export interface Configurations {
  readonly backup: DeployedConfig;
  readonly restore: DeployedRestoreConfig;
  readonly schedules: readonly Schedule[];
}

/** A login's contents are not known here, and never leave their secret. */
const anyLogin = { username: "-", password: "-" };

/** Throws InvalidConfigError that names the file and the key. */
export function readConfigurations(props: KafkaBackupProps): Configurations {
  const { configFile, restoreConfigFile, env = {}, login, bucket } = props;
  const targetLogin = ofTarget(props, "login", "targetLogin");
  const logins: Logins = {
    ...(login !== undefined && { source: anyLogin }),
    ...(targetLogin !== undefined && { target: anyLogin }),
  };
  const read = (fileName: string) =>
    [readFileSync(fileName, "utf8"), { fileName, env, logins }] as const;
  const backup = parseDeployment(...read(configFile));
  const schedules = parseSchedules(...read(configFile));
  const named = backup.storage.bucket;
  const given = bucket?.bucketName ?? named;
  if (!Token.isUnresolved(given) && given !== named) {
    throw invalid(`${configFile} storage.bucket: is ${named}, but the bucket given is ${given}`);
  }
  if (bucket !== undefined && props.objectLock !== undefined) {
    throw invalid("object lock: is for a new bucket; the one given has what it was made with");
  }
  checkCluster(configFile, "source", backup.source, props.clusterArn);
  if (restoreConfigFile === undefined) {
    return { backup, restore: restoreIntoSource(backup), schedules };
  }
  const restore = parseRestoreDeployment(...read(restoreConfigFile));
  for (const key of ["bucket", "prefix"] as const) {
    if (restore.storage[key] === backup.storage[key]) continue;
    throw invalid(
      `${restoreConfigFile} storage.${key}: is "${restore.storage[key]}", but ${configFile} has ` +
        `"${backup.storage[key]}": a deployment has one place for its backups`,
    );
  }
  checkCluster(restoreConfigFile, "target", restore.target, props.targetClusterArn);
  return { backup, restore, schedules };
}

/** Without a configuration of its own, the target is the source. */
export function ofTarget<
  Source extends "login" | "clusterArn",
  Target extends "targetLogin" | "targetClusterArn",
>(props: KafkaBackupProps, source: Source, target: Target) {
  return props.restoreConfigFile === undefined ? props[source] : props[target];
}

/** The ARN tells what roles may do at the cluster; without IAM's login it does nothing. */
function checkCluster(
  fileName: string,
  section: "source" | "target",
  { sasl_mechanism }: DeployedConfig["source"] | DeployedRestoreConfig["target"],
  arn: string | undefined,
): void {
  const isIam = sasl_mechanism === "AWS_MSK_IAM";
  if (isIam === (arn !== undefined)) return;
  const at = `${fileName} ${section}.sasl_mechanism`;
  throw invalid(
    isIam
      ? `${at}: AWS_MSK_IAM needs the cluster's ARN`
      : `${at}: is not AWS_MSK_IAM, without which the cluster's ARN does nothing`,
  );
}

function invalid(message: string): BackupError {
  return new BackupError("InvalidConfigError", message, {
    hint: "docs/aws-guide.md says what a deployment is told.",
  });
}
