/** org.apache.kafka.common.acl.AclOperation by its numbers. */
export const aclOperations: readonly string[] = [
  ...["UNKNOWN", "ANY", "ALL", "READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE"],
  ...["CLUSTER_ACTION", "DESCRIBE_CONFIGS", "ALTER_CONFIGS", "IDEMPOTENT_WRITE"],
  ...["CREATE_TOKENS", "DESCRIBE_TOKENS", "TWO_PHASE_COMMIT"],
];

/** What a broker answers when it was not asked, or does not say (KIP-430). */
const notGiven = -(2 ** 31);

/** Reads a bit field with a bit for each operation's number; undefined where none was given. */
export function operationsIn(bits: number): string[] | undefined {
  if (bits === notGiven) return undefined;
  return aclOperations.filter((_, number) => (bits & (1 << number)) !== 0);
}
