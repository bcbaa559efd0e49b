/**
 * Starts the services that all files of a run share. Vitest calls this only when a file of the
 * project that names it is selected.
 */
import type { TestProject } from "vitest/node";
import { startKafka } from "#local/kafka.ts";
import { startMinistack } from "#local/ministack.ts";

declare module "vitest" {
  export interface ProvidedContext {
    readonly kafka: {
      readonly bootstrapServers: string;
      readonly classpath: string;
      readonly dataDir: string;
      readonly logFile: string;
    };
    readonly s3: {
      readonly endpoint: string;
      readonly region: string;
      readonly accessKeyId: string;
      readonly secretAccessKey: string;
    };
  }
}

export default async function startServices(project: TestProject): Promise<() => Promise<void>> {
  const started = await Promise.allSettled([startKafka(), startMinistack()]);
  const stop = async () => {
    for (const service of started) if (service.status === "fulfilled") await service.value.stop();
  };
  const [kafka, s3] = started;
  if (kafka.status === "rejected" || s3.status === "rejected") {
    await stop();
    throw kafka.status === "rejected" ? kafka.reason : (s3 as PromiseRejectedResult).reason;
  }
  const { bootstrapServers, classpath, dataDir, logFile } = kafka.value;
  project.provide("kafka", { bootstrapServers, classpath, dataDir, logFile });
  const { endpoint, region, accessKeyId, secretAccessKey } = s3.value;
  project.provide("s3", { endpoint, region, accessKeyId, secretAccessKey });
  return stop;
}
