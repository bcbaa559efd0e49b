/** A Kafka of its own whose authorizer lets one user do only what is granted. */
import { expect, vi } from "vitest";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { connectForTests } from "#test/support/kafka.ts";
import { KafkaAdmin, type Operation, soon } from "#test/support/kafka-admin.ts";

const user = "limited";
const password = "correct-horse-battery";

type Resource = { readonly topic: string } | { readonly group: string } | "cluster";

export interface KafkaWithAcls extends Pick<LocalKafka, "bootstrapServers" | "classpath"> {
  /** May do everything. */
  readonly admin: Cluster;
  /** May do what was granted. */
  readonly limited: Cluster;
  /** How `limited` connects: the keys of a configuration's `source` or `target`. */
  readonly limitedConnection: ClusterConfig;
  /** Waits until the broker has heard of it: the controller answers before. */
  grant(resource: Resource, ...operations: Operation[]): Promise<void>;
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
  const operator = await KafkaAdmin.connect(kafka.bootstrapServers);
  return {
    bootstrapServers: kafka.bootstrapServers,
    classpath: kafka.classpath,
    admin,
    limited,
    limitedConnection,
    async grant(resource, ...operations) {
      const [type, name] = placeOf(resource);
      await operator.allow(user, type, name, operations);
      await vi.waitFor(async () => {
        const bindings = (await admin.describeAcls())!;
        const known = bindings.filter((one) => one.resource_name === name);
        expect(known.map(({ operation }) => operation)).toEqual(expect.arrayContaining(operations));
      }, soon);
    },
    async stop() {
      await Promise.all([admin.disconnect(), limited.disconnect(), operator.disconnect()]);
      await kafka.stop();
    },
  };
}

function placeOf(resource: Resource): readonly ["TOPIC" | "GROUP" | "CLUSTER", name: string] {
  // What Kafka calls the one resource of that type.
  if (resource === "cluster") return ["CLUSTER", "kafka-cluster"];
  return "topic" in resource ? ["TOPIC", resource.topic] : ["GROUP", resource.group];
}
