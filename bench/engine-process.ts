/** Runs `engine.ts` in a process of its own. */
import { fileURLToPath } from "node:url";
import type { EngineAnswer, EngineTask } from "./engine.ts";
import { type Cost, measured } from "./measured.ts";

const engine = fileURLToPath(new URL("engine.ts", import.meta.url));

export async function runEngine(task: EngineTask): Promise<EngineAnswer & Cost> {
  // As bin/kafka-backup: no warnings of kafkajs's timeouts in the past, and a small young heap.
  const flags = ["--disable-warning=TimeoutNegativeWarning", "--semi-space-growth-factor=1"];
  const args = [...flags, engine, JSON.stringify(task)];
  const { stdout, ...cost } = await measured(process.execPath, args);
  return { ...JSON.parse(stdout), ...cost };
}
