/** Topics and their settings, and the ACLs. */
import { BackupError, isRetryable } from "#core/errors.ts";
import { type BrokerConnection, requestTimeoutMs } from "#core/kafka/broker-connection.ts";
import type {
  NewTopic,
  SettingChange,
  TopicDescription,
  TopicSetting,
  TopicSettings,
} from "#core/kafka/cluster.ts";
import { kafkaError, kafkaErrorName } from "#core/kafka/kafka-errors.ts";
import {
  type CreateTopicsResponse,
  createTopics as createTopicsApi,
} from "#core/kafka/protocol/create-topics.ts";
import { describeAcls as describeAclsApi } from "#core/kafka/protocol/describe-acls.ts";
import {
  type DescribeConfigsResponse,
  describeConfigs,
} from "#core/kafka/protocol/describe-configs.ts";
import { incrementalAlterConfigs } from "#core/kafka/protocol/incremental-alter-configs.ts";
import { type MetadataTopic, metadata } from "#core/kafka/protocol/metadata.ts";
import { type Session, topicError } from "#core/kafka/session.ts";

/** How long the controller may take to create topics. */
const createTimeoutMs = 30_000;
const leaderPollMs = 50;
const leaderNotAvailable = 5;
/** How long the brokers may take to hear of changed settings. */
const alterTimeoutMs = 30_000;
const settingsPollMs = 20;
/** A broker shows settings shortly before its logs go by them: it does both in one update. */
const settingsSettleMs = 100;
const requestTimedOut = 7;
/** 16 zero bytes: the cluster's protocol version is older than topic ids. */
const noTopicId = "A".repeat(22);

export async function describeTopics(
  session: Session,
  names?: readonly string[],
): Promise<TopicDescription[]> {
  const { topics } = await session.retrying(() =>
    session.refresh(names ?? null, { withAuthorizedOperations: true }),
  );
  const present = topics.filter(({ errorCode, name }) => {
    if (errorCode === 0) return true;
    if (kafkaErrorName(errorCode) === "UNKNOWN_TOPIC_OR_PARTITION") return false;
    throw topicError(name, errorCode);
  });
  return present.map(description);
}

function description({ errorCode: _, ...topic }: MetadataTopic): TopicDescription {
  if (topic.topicId === noTopicId) throw topicWithoutId(topic.name);
  return {
    ...topic,
    partitions: topic.partitions.map(({ errorCode: _code, ...partition }) => partition),
  };
}

/** What is told apart by the topic's id, a re-created topic above all, cannot be without one. */
function topicWithoutId(name: string): BackupError {
  return new BackupError("InvalidRequestError", `topic ${name} has no topic id (KIP-516)`, {
    hint: "Raise inter.broker.protocol.version of the cluster to 2.8 or later.",
  });
}

export async function topicSettings(
  session: Session,
  topics: readonly string[],
): Promise<TopicSettings[]> {
  return session.retrying(async () => {
    const answers = settingsIn(await session.anyBroker(describeConfigs, { topics }));
    for (const answer of answers)
      if ("error" in answer && isRetryable(answer.error)) throw answer.error;
    const byTopic = new Map(answers.map((answer) => [answer.topic, answer]));
    return topics.flatMap((topic) => byTopic.get(topic) ?? []);
  });
}

function settingsIn({ results }: DescribeConfigsResponse): TopicSettings[] {
  return results.map(({ errorCode, errorMessage, topic, settings }) => {
    if (errorCode === 0) return { topic, settings };
    const error = kafkaError({
      code: errorCode,
      what: `DescribeConfigs of topic ${topic}`,
      message: errorMessage,
      needs: `DescribeConfigs on topic ${topic}`,
      details: { topic },
    });
    return { topic, error };
  });
}

export async function alterTopicSettings(
  session: Session,
  topic: string,
  changes: readonly SettingChange[],
  validateOnly: boolean,
): Promise<void> {
  await session.retrying(async () => {
    const request = { topic, changes, validateOnly };
    const controller = await session.controller();
    const { connections } = session;
    const api = incrementalAlterConfigs;
    const answer = await connections.send(controller, api, request, requestTimeoutMs);
    if (answer.errorCode === 0) return;
    throw kafkaError({
      code: answer.errorCode,
      what: `IncrementalAlterConfigs of topic ${topic}`,
      message: answer.errorMessage,
      needs: `AlterConfigs on topic ${topic}`,
      details: { topic },
    });
  });
  if (!validateOnly) await settingsEverywhere(session, topic, changes);
}

/**
 * Waits until every broker has the changes: the controller answers before they have reached the
 * others, and a leader that lags would still stamp, refuse or compact by the old ones.
 */
async function settingsEverywhere(
  session: Session,
  topic: string,
  changes: readonly SettingChange[],
): Promise<void> {
  const giveUpAtMs = session.clock.monotonicMs() + alterTimeoutMs;
  for (const address of session.nodes()) {
    for (;;) {
      const request = { topics: [topic] };
      const answer = await session.connections.call(address, "admin", describeConfigs, request);
      const [found] = settingsIn(answer);
      if (found !== undefined && "error" in found) throw found.error;
      const missing = changes.find((change) => !isMade(change, found?.settings));
      if (missing === undefined) break;
      if (session.clock.monotonicMs() > giveUpAtMs) {
        const what = `setting ${missing.name} of topic ${topic} was changed, but not on every broker`;
        throw kafkaError({ code: requestTimedOut, what, details: { topic } });
      }
      await session.clock.sleep(settingsPollMs, session.connections.signal);
    }
  }
  await session.clock.sleep(settingsSettleMs, session.connections.signal);
}

function isMade(change: SettingChange, found: readonly TopicSetting[] = []): boolean {
  const setting = found.find(({ name }) => name === change.name);
  if (setting === undefined) return "delete" in change;
  if ("delete" in change) return !setting.ofTopic;
  // Brokers write lists without the spaces that they were set with.
  const isSame = setting.value?.replaceAll(" ", "") === change.set.replaceAll(" ", "");
  return setting.ofTopic && isSame;
}

export async function createTopics(session: Session, topics: readonly NewTopic[]): Promise<void> {
  let waiting = topics;
  let lost: unknown;
  await session.retrying(async () => {
    if (waiting.length === 0) return;
    const controller = await session.controller();
    const answer = await requestTopics(session, controller, waiting, false).catch(
      (error: unknown) => {
        // A lost answer says nothing: the same request again would find the topics existing.
        lost = error;
      },
    );
    if (!answer) return;
    const failed = answer.topics.filter(({ errorCode }) => errorCode !== 0);
    waiting = waiting.filter(({ topic }) => failed.some((failure) => failure.topic === topic));
    const errors = failed.map(createError);
    // One that repeating cannot cure comes first.
    const error = errors.find(({ name }) => name !== "BrokerUnavailableError") ?? errors[0];
    if (error !== undefined) throw error;
  });
  if (lost !== undefined) throw lost;
  await leadersEverywhere(session, topics);
}

export async function validateNewTopic(session: Session, topic: NewTopic): Promise<void> {
  await session.retrying(async () => {
    const answer = await requestTopics(session, await session.controller(), [topic], true);
    const [failed] = answer.topics.filter(({ errorCode }) => errorCode !== 0);
    if (failed !== undefined) throw createError(failed);
  });
}

function requestTopics(
  session: Session,
  controller: BrokerConnection,
  topics: readonly NewTopic[],
  validateOnly: boolean,
): Promise<CreateTopicsResponse> {
  const request = { topics, timeoutMs: createTimeoutMs, validateOnly };
  const timeoutMs = createTimeoutMs + requestTimeoutMs;
  return session.connections.send(controller, createTopicsApi, request, timeoutMs);
}

function createError(failure: CreateTopicsResponse["topics"][number]): BackupError {
  const { topic, errorCode, errorMessage } = failure;
  return kafkaError({
    code: errorCode,
    what: `CreateTopics ${topic}`,
    message: errorMessage,
    needs: `Create on topic ${topic} or on the cluster`,
    details: { topic },
  });
}

/** Waits until every broker knows a leader for each partition. */
async function leadersEverywhere(session: Session, topics: readonly NewTopic[]): Promise<void> {
  const names = topics.map(({ topic }) => topic);
  const giveUpAtMs = session.clock.monotonicMs() + createTimeoutMs;
  for (const address of session.nodes()) {
    for (;;) {
      const answer = await session.connections.call(address, "admin", metadata, { topics: names });
      const missing = topics.find((topic) => !isLed(answer.topics, topic));
      if (missing === undefined) break;
      if (session.clock.monotonicMs() > giveUpAtMs) {
        const what = `topic ${missing.topic} was created but has no leader yet`;
        throw kafkaError({ code: leaderNotAvailable, what, details: { topic: missing.topic } });
      }
      await session.clock.sleep(leaderPollMs, session.connections.signal);
    }
  }
}

function isLed(topics: readonly MetadataTopic[], wanted: NewTopic): boolean {
  const found = topics.find(({ name }) => name === wanted.topic);
  if (found === undefined || found.errorCode !== 0) return false;
  const led = found.partitions.filter(({ leader }) => leader >= 0).length;
  return led > 0 && led === found.partitions.length && led >= wanted.partitionCount;
}

export async function describeAcls(
  session: Session,
): Promise<Record<string, string>[] | undefined> {
  return session.retrying(async () => {
    const answer = await session.anyBroker(describeAclsApi, undefined);
    switch (kafkaErrorName(answer.errorCode)) {
      case "NONE":
        return answer.bindings;
      case "SECURITY_DISABLED": // Without an authorizer there are no ACLs.
        return [];
      case "CLUSTER_AUTHORIZATION_FAILED":
        return undefined;
      default:
        throw kafkaError({
          code: answer.errorCode,
          what: "DescribeAcls",
          message: answer.errorMessage,
        });
    }
  });
}
