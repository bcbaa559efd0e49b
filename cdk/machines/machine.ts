/** What a state machine and its functions need besides the machine's file in `statemachines/`. */
import type { KeyGrants } from "#cdk/backup-bucket.ts";

/** `source` is backed up, `target` restored into; where both are one cluster they are the same. */
export type ClusterOfFunction = "source" | "target" | "both";

/**
 * What a function asks its cluster for, beside what it is made of. To write a topic is also to
 * read it back and to set its settings; to write groups, to commit and remove their offsets.
 */
export type KafkaUse =
  | "read-topics"
  | "write-topics"
  | "create-topics"
  | "read-groups"
  | "write-groups";

export interface MachineFunction {
  readonly description: string;
  /** Of a backup's objects, by key below the prefix (S6). */
  readonly grants: KeyGrants;
  /** Whose network and login it is given. */
  readonly cluster?: ClusterOfFunction;
  /** Of that cluster, where it asks IAM (S6). */
  readonly kafka?: readonly KafkaUse[];
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
