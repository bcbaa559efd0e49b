/** A Kafka of its own whose authorizer lets one user do only what is granted. */
import { expect, vi } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { connectForTests } from "#test/support/kafka.ts";

const user = "limited";
const password = "correct-horse-battery";

export interface KafkaWithAcls extends Pick<LocalKafka, "bootstrapServers" | "classpath"> {
  /** May do everything. */
  readonly admin: Cluster;
  /** May do what was granted. */
  readonly limited: Cluster;
  /** How `limited` connects: the keys of a configuration's `source` or `target`. */
  readonly limitedConnection: ClusterConfig;
  /**
   * Grants by Kafka's own tool, `grant(["--topic", name], "Read", "Describe")`, and waits until
   * the broker has heard of it: the controller answers before.
   */
  grant(resource: readonly string[], ...operations: string[]): Promise<void>;
  stop(): Promise<void>;
}

export async function startKafkaWithAcls(): Promise<KafkaWithAcls> {
  const kafka = await startKafka({
    settings: {
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS",
    },
    listeners: [
      {
        name: "SASL",
        protocol: "SASL_PLAINTEXT",
        mechanisms: ["PLAIN"],
        users: { [user]: password },
      },
    ],
  });
  const admin = await connectForTests({ bootstrap_servers: [kafka.bootstrapServers] });
  const limitedConnection: ClusterConfig = {
    bootstrap_servers: [kafka.listeners.SASL!],
    security_protocol: "SASL_PLAINTEXT",
    sasl_mechanism: "PLAIN",
    sasl_username: user,
    sasl_password: password,
  };
  const limited = await connectForTests(limitedConnection);
  return {
    bootstrapServers: kafka.bootstrapServers,
    classpath: kafka.classpath,
    admin,
    limited,
    limitedConnection,
    async grant(resource, ...operations) {
      const { code, stderr } = await kafka.tool("org.apache.kafka.tools.AclCommand", [
        ...["--bootstrap-server", kafka.bootstrapServers, "--add", ...resource],
        ...["--allow-principal", `User:${user}`],
        ...operations.flatMap((operation) => ["--operation", operation]),
      ]);
      expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
      const granted = async () => {
        const bindings = (await admin.describeAcls())!.filter((binding) => isOf(resource, binding));
        const known = bindings.map(({ operation }) => operation!.replaceAll("_", "").toLowerCase());
        expect(known).toEqual(expect.arrayContaining(operations.map((one) => one.toLowerCase())));
      };
      await vi.waitFor(granted, { timeout: 30_000, interval: 20 });
    },
    async stop() {
      await Promise.all([admin.disconnect(), limited.disconnect()]);
      await kafka.stop();
    },
  };
}

/** `--cluster` has no name. */
function isOf([type, name]: readonly string[], binding: Record<string, string>): boolean {
  if (binding.resource_type !== type!.slice("--".length).toUpperCase()) return false;
  return name === undefined || binding.resource_name === name;
}
