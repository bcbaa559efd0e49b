/** What `cdk deploy -c NAME=VALUE` may say. */
import { z } from "zod";
import type { ObjectLock } from "#cdk/backup-bucket.ts";

const ids = (prefix: string) =>
  z
    .string()
    .transform((text) => text.split(",").map((id) => id.trim()))
    .pipe(z.array(z.string().regex(new RegExp(`^${prefix}-[0-9a-z]+$`), `must be ${prefix}-…`)));

const clusterArn = z
  .string()
  .regex(
    /^arn:[\w-]+:kafka:[\w-]+:\d{12}:cluster\/[^/]+\/[^/]+$/,
    "must be arn:aws:kafka:REGION:ACCOUNT:cluster/NAME/UUID",
  );

const settings = z
  .strictObject({
    /** The configuration file of the backup. */
    config: z.string(),
    /** That of restores, where they go to another cluster. */
    restore_config: z.string().optional(),
    stack: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9-]*$/)
      .default("KafkaBackup"),
    stage: z.enum(["aws", "localstack", "local"]).default("aws"),
    encryption: z.enum(["kms", "s3"]).default("kms"),
    /** Workers of a run at a time. */
    max_concurrency: z.coerce.number().int().min(1).max(1_000).optional(),
    /** Megabytes of a worker, of which Lambda also makes its share of processors. */
    worker_memory_mb: z.coerce.number().int().min(1_024).max(10_240).optional(),
    /** So many of the account's concurrent functions are kept for workers, and none above. */
    reserved_concurrency: z.coerce.number().int().min(1).max(1_000).optional(),
    /** `governance:30`: mode and days of the bucket's Object Lock. */
    object_lock: z
      .string()
      .regex(/^(governance|compliance):[1-9]\d{0,4}$/, "must be governance:DAYS or compliance:DAYS")
      .transform((text) => {
        const [mode, days] = text.split(":") as [ObjectLock["mode"], string];
        return { mode, days: Number(days) };
      })
      .optional(),
    /** Whom alarms are mailed to. */
    alarm_email: z.email().optional(),
    /** Where docs/operations.md can be read, for links in alarms. */
    runbook: z.url().optional(),
    /** Full ARN of the cluster, with AWS_MSK_IAM. */
    cluster_arn: clusterArn.optional(),
    /** The same of the cluster of `restore_config`. */
    target_cluster_arn: clusterArn.optional(),
    /** Full ARN of the secret with the cluster's login. */
    secret_arn: z.string().startsWith("arn:").optional(),
    /** The same of the cluster of `restore_config`. */
    target_secret_arn: z.string().startsWith("arn:").optional(),
    vpc_id: z.string().startsWith("vpc-").optional(),
    /** With commas between them. */
    subnet_ids: ids("subnet").optional(),
    security_group_ids: ids("sg").optional(),
  })
  .superRefine(({ vpc_id, subnet_ids, security_group_ids }, context) => {
    const given = [vpc_id, subnet_ids, security_group_ids].filter((value) => value !== undefined);
    if (given.length === 0 || given.length === 3) return;
    context.addIssue({
      code: "custom",
      path: [
        vpc_id === undefined
          ? "vpc_id"
          : subnet_ids === undefined
            ? "subnet_ids"
            : "security_group_ids",
      ],
      message: "is needed: vpc_id, subnet_ids and security_group_ids come together",
    });
  });
export type DeploySettings = z.infer<typeof settings>;

const names = Object.keys(settings.shape);

/** `context` is asked for each name. Throws an error that names what is wrong. */
export function readSettings(context: (name: string) => unknown): DeploySettings {
  const given = names.map((name) => [name, context(name)] as const);
  const result = settings.safeParse(
    Object.fromEntries(given.filter(([, value]) => value !== undefined)),
  );
  if (result.success) return result.data;
  const problems = result.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new Error(`context: ${problems.join("; ")}`);
}
