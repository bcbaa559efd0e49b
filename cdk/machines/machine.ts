/** What a state machine and its functions need besides the machine's file in `statemachines/`. */
import type { KeyGrants } from "#cdk/backup-bucket.ts";

/** `source` is backed up, `target` restored into; where both are one cluster they are the same. */
export type ClusterOfFunction = "source" | "target" | "both";

export interface MachineFunction {
  readonly description: string;
  /** Of a backup's objects, by key below the prefix (S6). */
  readonly grants: KeyGrants;
  /** Whose network and login it is given. */
  readonly cluster?: ClusterOfFunction;
  /** Of the catalogue's table; `remove`: what closed runs left there as well. */
  readonly usesTable?: "write" | "remove";
  /** Has a worker's memory, as it moves records. */
  readonly isWorker?: boolean;
}

export interface Machine {
  /** Of the file: `backup` for `backup.asl.json`. */
  readonly name: string;
  /**
   * By the name of the file in `functions/`. A function that several machines invoke stands with
   * one of them: what a machine may invoke is read from its file.
   */
  readonly functions: Readonly<Record<string, MachineFunction>>;
  /** Keys of the lists that its Distributed Map reads, below the prefix. */
  readonly itemLists?: string;
  /** The function that is told how many workers its Map runs at a time. */
  readonly planner?: string;
}
