/** What `cdk deploy -c NAME=VALUE` may say. */
import { z } from "zod";

const ids = (prefix: string) =>
  z
    .string()
    .transform((text) => text.split(",").map((id) => id.trim()))
    .pipe(z.array(z.string().regex(new RegExp(`^${prefix}-[0-9a-z]+$`), `must be ${prefix}-…`)));

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
    stage: z.enum(["aws", "local"]).default("aws"),
    encryption: z.enum(["s3", "kms"]).default("s3"),
    /** Workers of a run at a time. */
    max_concurrency: z.coerce.number().int().min(1).max(1_000).optional(),
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
