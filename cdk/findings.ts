/**
 * Findings of cdk-nag's AwsSolutions rules that are as they have to be: each is acknowledged where
 * it arises, on its own resource, with the reason. `test/cdk/kafka-backup.test.ts` fails on any other.
 */
import { Stack, Validations } from "aws-cdk-lib";
import type { IConstruct } from "constructs";

/** A resource in a policy that has to be a pattern. */
export function acknowledgePattern(of: IConstruct, resource: string, reason: string): void {
  const id = `AwsSolutions-IAM5[Resource::${flattened(Stack.of(of).resolve(resource))}]`;
  Validations.of(of).acknowledge({ id, reason });
}

export function acknowledgeRule(of: IConstruct, rule: string, reason: string): void {
  Validations.of(of).acknowledge({ id: `AwsSolutions-${rule}`, reason });
}

/** As cdk-nag writes what CloudFormation puts in later: `<Bucket.Arn>/*`. */
function flattened(value: unknown): string {
  if (typeof value === "string") return value;
  const { Ref, "Fn::GetAtt": attribute, "Fn::Join": join } = value as Record<string, unknown>;
  if (typeof Ref === "string") return `<${Ref}>`;
  if (Array.isArray(attribute)) return `<${attribute.join(".")}>`;
  const [separator, parts] = join as [string, unknown[]];
  return parts.map(flattened).join(separator);
}
