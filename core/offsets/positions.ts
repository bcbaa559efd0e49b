/** What groups had committed in the source, by the offset source that was asked for. */

export interface GroupPosition {
  readonly group: string;
  readonly source_topic: string;
  readonly source_partition: number;
  /** The next record that the group would have read. */
  readonly offset: bigint;
  readonly metadata: string;
  /** When the group stood there: Unix milliseconds of the reading. */
  readonly read_at: bigint;
  /** `run ID`, `snapshot ID` or `current`. */
  readonly from: string;
}
