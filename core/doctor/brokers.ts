/**
 * Whether the brokers can be reached, each where it advertises itself: a client finds brokers by
 * its bootstrap servers, and goes on with the addresses that these name.
 */
import type { Config } from "#core/config/schema.ts";
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import { isBackupError } from "#core/errors.ts";
import { addressOf } from "#core/kafka/broker-connection.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import type { ConnectDeps } from "#core/kafka/connect.ts";
import {
  type BootstrapAnswer,
  type BrokerAnswer,
  type KnownCluster,
  openProbe,
} from "#core/kafka/probe.ts";
import { createTopics } from "#core/kafka/protocol/create-topics.ts";
import { describeCluster } from "#core/kafka/protocol/describe-cluster.ts";
import { describeConfigs } from "#core/kafka/protocol/describe-configs.ts";
import { describeGroups } from "#core/kafka/protocol/describe-groups.ts";
import { fetch } from "#core/kafka/protocol/fetch.ts";
import { findCoordinator } from "#core/kafka/protocol/find-coordinator.ts";
import { incrementalAlterConfigs } from "#core/kafka/protocol/incremental-alter-configs.ts";
import { initProducerId } from "#core/kafka/protocol/init-producer-id.ts";
import { listGroups } from "#core/kafka/protocol/list-groups.ts";
import { listOffsets } from "#core/kafka/protocol/list-offsets.ts";
import { type MetadataNode, metadata } from "#core/kafka/protocol/metadata.ts";
import { offsetCommit } from "#core/kafka/protocol/offset-commit.ts";
import { offsetDelete } from "#core/kafka/protocol/offset-delete.ts";
import { offsetFetch } from "#core/kafka/protocol/offset-fetch.ts";
import { offsetForLeaderEpoch } from "#core/kafka/protocol/offset-for-leader-epoch.ts";
import { produce } from "#core/kafka/protocol/produce.ts";

/** For TCP, TLS and login together: what takes longer is not a broker that a backup can work with. */
const answerTimeoutMs = 4_000;

const readingApis = [
  ...[metadata, listOffsets, offsetForLeaderEpoch, fetch, describeConfigs],
  ...[describeCluster, listGroups, findCoordinator, offsetFetch],
];
const apisByMode: Readonly<Record<Config["mode"], typeof readingApis>> = {
  backup: readingApis,
  restore: [
    ...readingApis,
    ...[createTopics, incrementalAlterConfigs, initProducerId, produce],
    ...[describeGroups, offsetCommit, offsetDelete],
  ] as typeof readingApis,
};

/** What is left to work with: the bootstrap servers that answered. */
export interface ReachedBrokers {
  readonly bootstrap_servers: readonly string[];
}

export async function checkBrokers(
  config: ClusterConfig,
  mode: Config["mode"],
  deps: ConnectDeps,
  signal: AbortSignal,
): Promise<Checked<ReachedBrokers>> {
  const probe = await openProbe(config, deps, answerTimeoutMs, signal);
  const asked = await probe.bootstrapServers();
  const answered = asked.filter(hasAnswered);
  const nodes = distinctNodes(answered.flatMap(({ answer }) => answer.brokers));
  const brokers = await probe.brokers(nodes, apisByMode[mode]);
  const reached = brokers.filter(({ answer }) => !isBackupError(answer));
  const clusterIds = [...new Set(answered.map(({ answer }) => answer.clusterId))];
  return {
    seen:
      answered.length === 0
        ? "no bootstrap server answers"
        : `${reached.length} of ${brokers.length} brokers reached as advertised, ` +
          `cluster ${clusterIds.join(" and ")}`,
    findings: [
      ...asked.flatMap((one) => silentServer(one, answered.length > 0)),
      ...severalClusters(answered, clusterIds),
      ...brokers.flatMap((broker) => brokerFindings(broker, answered[0]?.server ?? "")),
    ],
    value: { bootstrap_servers: answered.map(({ server }) => server) },
  };
}

interface Answered {
  readonly server: string;
  readonly answer: KnownCluster;
}

function hasAnswered(asked: BootstrapAnswer): asked is Answered {
  return !isBackupError(asked.answer);
}

/** Bootstrap servers of several listeners name a broker by several addresses: each is tried. */
function distinctNodes(nodes: readonly MetadataNode[]): MetadataNode[] {
  const byPlace = nodes.map((node) => [`${node.nodeId} ${addressOf(node)}`, node] as const);
  return [...new Map(byPlace).values()].sort((a, b) => a.nodeId - b.nodeId);
}

function silentServer({ server, answer }: BootstrapAnswer, othersAnswer: boolean): Found[] {
  if (!isBackupError(answer)) return [];
  const denied = answer.name === "AccessDeniedError";
  return [
    {
      severity: othersAnswer ? "warning" : "error",
      code: denied ? "bootstrap-refused" : "bootstrap-unreachable",
      message: `bootstrap server ${server}: ${answer.message}`,
      remedy: denied
        ? answer.hint
        : "Correct bootstrap_servers, or let this machine reach that address (DNS, route, firewall).",
    },
  ];
}

function severalClusters(answered: readonly Answered[], clusterIds: readonly string[]): Found[] {
  if (clusterIds.length < 2) return [];
  const each = answered.map(({ server, answer }) => `${server} is of cluster ${answer.clusterId}`);
  return [
    {
      severity: "error",
      code: "several-clusters",
      message: `the bootstrap servers belong to different clusters: ${each.join(", ")}`,
      remedy: "Name servers of one cluster only in bootstrap_servers.",
    },
  ];
}

function brokerFindings({ nodeId, address, answer }: BrokerAnswer, asked: string): Found[] {
  if (!isBackupError(answer)) {
    if (answer.lacks.length === 0) return [];
    return [
      {
        severity: "error",
        code: "broker-too-old",
        message: `broker ${nodeId} at ${address} lacks ${answer.lacks.join(", ")}`,
        remedy: "Kafka 2.8 to 4.2 are supported; update the broker or kafka-backup.",
      },
    ];
  }
  const message =
    `bootstrap server ${asked} answers, but broker ${nodeId} advertises itself as ${address}, ` +
    `and there: ${answer.message}`;
  if (answer.name === "AccessDeniedError") {
    return [{ severity: "error", code: "advertised-refused", message, remedy: answer.hint }];
  }
  return [
    {
      severity: "error",
      code: "advertised-unreachable",
      message,
      remedy:
        `Set advertised.listeners of broker ${nodeId} to an address that clients reach, or let ` +
        `this machine reach ${address} (DNS, route, firewall).`,
    },
  ];
}
