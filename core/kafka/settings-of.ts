import type { Cluster, TopicSetting } from "#core/kafka/cluster.ts";

/** All settings of one topic. Throws TopicNotFoundError and AccessDeniedError. */
export async function settingsOf(
  cluster: Pick<Cluster, "topicSettings">,
  topic: string,
): Promise<readonly TopicSetting[]> {
  const [answer] = await cluster.topicSettings([topic]);
  if (answer === undefined) throw new Error(`DescribeConfigs did not answer for topic ${topic}`);
  if ("error" in answer) throw answer.error;
  return answer.settings;
}
