/** Kafka's own ConsumerPerformance and ProducerPerformance, as Kafka's scripts start them. */
import { type Cost, measured } from "./measured.ts";
import type { Setting, Source } from "./setting.ts";

export interface ToolRun extends Cost {
  /**
   * What the tool counts itself: the consumer's time of fetching, without joining its group; the
   * producer's time from the first record to the last answer.
   */
  readonly toolMs: number;
}

/** Those of kafka-run-class.sh. */
const jvmFlags = [
  ...["-Xmx512M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
  ...["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"],
  ...["-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"],
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
];
/** Between two records, when others work on the machine as well. */
const consumerTimeoutMs = 60_000;

function runTool(setting: Setting, name: string, args: readonly string[]) {
  const jvm = [...jvmFlags, "-cp", setting.kafka.classpath];
  return measured("java", [...jvm, `org.apache.kafka.tools.${name}`, ...args]);
}

/** Reads a source topic to its end. */
export async function consume(setting: Setting, { topic, records }: Source): Promise<ToolRun> {
  const { stdout, ...cost } = await runTool(setting, "ConsumerPerformance", [
    ...["--bootstrap-server", setting.kafka.bootstrapServers, "--topic", topic],
    ...["--num-records", String(records), "--timeout", String(consumerTimeoutMs)],
  ]);
  const [head, numbers] = stdout.split("\n").filter((line) => line.includes(", "));
  const columns = (head ?? "").split(",").map((name) => name.trim());
  const values = (numbers ?? "").split(",");
  const numberOf = (name: string) => Number(values[columns.indexOf(name)]);
  const consumed = numberOf("data.consumed.in.nMsg");
  if (!(consumed >= records)) {
    throw new Error(`ConsumerPerformance read ${consumed} of ${records} records:\n${stdout}`);
  }
  return { ...cost, toolMs: numberOf("fetch.time.ms") };
}

/** Writes as many records as `source` has to a topic that exists, in the same way. */
export async function produce(setting: Setting, source: Source, topic: string): Promise<ToolRun> {
  const { producer, records } = source;
  const { stdout, ...cost } = await runTool(setting, "ProducerPerformance", [
    ...["--bootstrap-server", setting.kafka.bootstrapServers, "--topic", topic],
    ...["--num-records", String(records), "--throughput", "-1"],
    ...["--payload-file", setting.payloadFile, "--command-property"],
    ...Object.entries(producer).map(([name, value]) => `${name}=${value}`),
  ]);
  const total = stdout.trim().split("\n").at(-1) ?? "";
  const [, sent, rate] = /^(\d+) records sent, ([\d.]+) records\/sec/.exec(total) ?? [];
  if (Number(sent) !== records || rate === undefined) {
    throw new Error(`ProducerPerformance did not send ${records} records:\n${stdout}`);
  }
  return { ...cost, toolMs: (records / Number(rate)) * 1000 };
}
