/**
 * What the catalogue asks of a table: items under two keys, each replaced only by what comes after
 * it. `dynamodb.ts` is one in DynamoDB.
 */

import type { AwsConnection } from "#core/storage/aws-connection.ts";

/** Names of the table's attributes: the two keys, and when DynamoDB may delete an item. */
export const tableAttributes = {
  partitionKey: "pk",
  sortKey: "sk",
  /** Unix seconds (DynamoDB's Time to Live). */
  timeToLive: "expires_at",
} as const;

export interface TableKey {
  readonly pk: string;
  readonly sk: string;
}

/** Numbers must be safe integers; larger ones go as decimal strings. */
export type TableItem = TableKey & Readonly<Record<string, string | number | boolean>>;

export interface CatalogTable {
  /**
   * Stores the item unless one of a greater `order` is there; false then. Atomic. The same again
   * changes nothing, so it is repeated when an answer is lost. `order` is stored with the item.
   */
  put(item: TableItem, order: number): Promise<boolean>;

  /** The items of a partition key whose sort key begins so, ascending; as of now, not a while ago. */
  query(pk: string, prefix: string): AsyncIterable<TableItem>;

  /** The last `max` of them, ascending. */
  newest(pk: string, prefix: string, max: number): Promise<TableItem[]>;

  /** Idempotent. */
  delete(keys: readonly TableKey[]): Promise<void>;

  close(): void;
}

export interface TableLocation extends AwsConnection {
  readonly table: string;
}
