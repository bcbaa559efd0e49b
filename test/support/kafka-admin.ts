/** What an operator or another client does to a cluster while a backup goes on. */

import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  type Admin,
  Kafka,
  logLevel,
  type Producer,
  ResourcePatternTypes,
} from "kafkajs";
import { expect, vi } from "vitest";
import { kafkaForTests } from "#test/support/kafka.ts";

/** What takes milliseconds on a machine with nothing else to do. */
export const soon = { timeout: 30_000, interval: 20 };

export type Operation = keyof typeof AclOperationTypes;

export class KafkaAdmin {
  readonly #kafka: Kafka;
  readonly #admin: Admin;
  readonly #producers: Producer[] = [];
  #cluster: ClusterInternals | undefined;

  private constructor(kafka: Kafka) {
    this.#kafka = kafka;
    this.#admin = kafka.admin();
  }

  /** Connects to the shared broker unless told another. */
  static async connect(bootstrapServers = kafkaForTests().bootstrapServers): Promise<KafkaAdmin> {
    const kafka = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.NOTHING });
    const admin = new KafkaAdmin(kafka);
    await admin.#admin.connect();
    return admin;
  }

  /** DeleteRecords: the log begins at `offset` afterwards. */
  async deleteRecordsBefore(topic: string, partition: number, offset: number): Promise<void> {
    // kafkajs looks for the leader in what it has loaded.
    await this.#admin.fetchTopicOffsets(topic);
    const partitions = [{ partition, offset: String(offset) }];
    await this.#admin.deleteTopicRecords({ topic, partitions });
  }

  /** Waits until the broker has heard of it: the controller answers before. */
  async deleteTopic(topic: string): Promise<void> {
    await this.#admin.deleteTopics({ topics: [topic] });
    await vi.waitFor(async () => expect(await this.#admin.listTopics()).not.toContain(topic), soon);
  }

  /** Up to `count` partitions in all, and until the broker has heard of them. */
  async addPartitions(topic: string, count: number): Promise<void> {
    await this.#admin.createPartitions({ topicPartitions: [{ topic, count }] });
    await vi.waitFor(async () => {
      const { topics } = await this.#admin.fetchTopicMetadata({ topics: [topic] });
      expect(topics[0]?.partitions).toHaveLength(count);
    }, soon);
  }

  /** Allows a user operations; the broker hears of it a moment later. */
  async allow(
    user: string,
    resource: "TOPIC" | "GROUP" | "CLUSTER",
    resourceName: string,
    operations: readonly Operation[],
  ): Promise<void> {
    const acl = operations.map((operation) => ({
      resourceType: AclResourceTypes[resource],
      resourceName,
      resourcePatternType: ResourcePatternTypes.LITERAL,
      principal: `User:${user}`,
      host: "*",
      operation: AclOperationTypes[operation],
      permissionType: AclPermissionTypes.ALLOW,
    }));
    await this.#admin.createAcls({ acl });
  }

  /** Commits an offset of partition 0 for a group without members, as Kafka's own tools do. */
  async commitOffset(groupId: string, topic: string, offset: bigint): Promise<void> {
    this.#cluster ??= await connectInternals(this.#kafka);
    const cluster = this.#cluster;
    const topics = [{ topic, partitions: [{ partition: 0, offset: String(offset) }] }];
    // A young broker is told of as coordinator before it knows that it is one.
    const commit = async () => {
      const coordinator = await cluster.findGroupCoordinator({ groupId });
      await coordinator.offsetCommit({ groupId, groupGenerationId: -1, memberId: "", topics });
    };
    await vi.waitFor(commit, soon);
  }

  async transactionalProducer(transactionalId: string): Promise<Producer> {
    const producer = this.#kafka.producer({
      transactionalId,
      idempotent: true,
      maxInFlightRequests: 1,
    });
    this.#producers.push(producer);
    await producer.connect();
    return producer;
  }

  async disconnect(): Promise<void> {
    const clients = [this.#admin, ...this.#producers, this.#cluster];
    await Promise.all(clients.map((client) => client?.disconnect()));
  }
}

/** Its `setOffsets` joins the group, and takes five seconds for that. */
interface ClusterInternals {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  findGroupCoordinator(of: { groupId: string }): Promise<{
    offsetCommit(request: {
      groupId: string;
      groupGenerationId: number;
      memberId: string;
      topics: { topic: string; partitions: { partition: number; offset: string }[] }[];
    }): Promise<unknown>;
  }>;
}

async function connectInternals(kafka: Kafka): Promise<ClusterInternals> {
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === "private:Kafka:createCluster",
  );
  const cluster: ClusterInternals = Reflect.get(kafka, symbol!)({});
  await cluster.connect();
  return cluster;
}
