/** Runs `engine.ts` in a process of its own. */
import { fileURLToPath } from "node:url";
import type { EngineAnswer, EngineTask } from "./engine.ts";
import { type Cost, measured } from "./measured.ts";

const engine = fileURLToPath(new URL("engine.ts", import.meta.url));

export async function runEngine(task: EngineTask): Promise<EngineAnswer & Cost> {
  // kafkajs sets timeouts in the past; bin/kafka-backup keeps that from users as well.
  const args = ["--disable-warning=TimeoutNegativeWarning", engine, JSON.stringify(task)];
  const { stdout, ...cost } = await measured(process.execPath, args);
  return { ...JSON.parse(stdout), ...cost };
}
