/**
 * A table in DynamoDB. Needs dynamodb:PutItem, Query and BatchWriteItem on it. This is the one
 * file that imports the SDK, and it is imported only when needed.
 *
 * The SDK's own retries are off, as those of the bucket are: all calls of a client share a quota of
 * them, which an outage of seconds uses up where several partitions are at work. Each request here
 * may simply be sent again.
 */
import {
  type AttributeValue,
  BatchWriteItemCommand,
  ConditionalCheckFailedException,
  DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  type WriteRequest,
} from "@aws-sdk/client-dynamodb";
import type { CatalogTable, TableItem, TableKey, TableLocation } from "#core/catalog/table.ts";
import { BackupError, type ErrorName } from "#core/errors.ts";
import { awsClientConfig, isOfNetwork, keptConnections } from "#core/storage/aws-connection.ts";
import type { Retry } from "#core/storage/retrying.ts";

const connectionTimeoutMs = 5_000;
/** Nothing sent or received for so long; a request moves 16 MB at most. */
const idleTimeoutMs = 10_000;
/** The SDK's own number. */
const connectionsMax = 50;
/** DynamoDB's limit on BatchWriteItem. */
const writesPerBatch = 25;

type StoredItem = Record<string, AttributeValue>;

export function openDynamoTable(location: TableLocation, retry: Retry): CatalogTable {
  const agent = keptConnections(idleTimeoutMs, connectionsMax);
  const client = new DynamoDBClient({
    ...awsClientConfig(location),
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: connectionTimeoutMs,
      socketTimeout: idleTimeoutMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
  return new DynamoTable(client, location.table, retry);
}

/** What the SDK throws, with DynamoDB's code as its name, or the network's as `code`. */
interface ForeignError extends Error {
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** No key is empty, so DynamoDB takes no empty prefix. */
function keyCondition(pk: string, prefix: string) {
  const values = { ":pk": { S: pk } };
  return prefix === ""
    ? { KeyConditionExpression: "pk = :pk", ExpressionAttributeValues: values }
    : {
        KeyConditionExpression: "pk = :pk AND begins_with(sk, :prefix)",
        ExpressionAttributeValues: { ...values, ":prefix": { S: prefix } },
      };
}

class DynamoTable implements CatalogTable {
  readonly #client: DynamoDBClient;
  readonly #table: string;
  readonly #retry: Retry;

  constructor(client: DynamoDBClient, table: string, retry: Retry) {
    this.#client = client;
    this.#table = table;
    this.#retry = retry;
  }

  async put(item: TableItem, order: number): Promise<boolean> {
    const command = new PutItemCommand({
      TableName: this.#table,
      Item: { ...storedOf(item), order: { N: String(order) } },
      ConditionExpression: "attribute_not_exists(pk) OR #order <= :order",
      ExpressionAttributeNames: { "#order": "order" },
      ExpressionAttributeValues: { ":order": { N: String(order) } },
    });
    return this.#done("put an item", async () => {
      try {
        await this.#client.send(command);
        return true;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw error;
      }
    });
  }

  query(pk: string, prefix: string): AsyncGenerator<TableItem> {
    return this.#query(keyCondition(pk, prefix));
  }

  async newest(pk: string, prefix: string, max: number): Promise<TableItem[]> {
    if (max === 0) return [];
    const condition = { ...keyCondition(pk, prefix), ScanIndexForward: false, Limit: max };
    const items: TableItem[] = [];
    for await (const item of this.#query(condition)) {
      items.push(item);
      if (items.length === max) break;
    }
    return items.reverse();
  }

  async *#query(condition: Partial<QueryCommandInput>): AsyncGenerator<TableItem> {
    let from: StoredItem | undefined;
    do {
      const command = new QueryCommand({
        TableName: this.#table,
        ConsistentRead: true,
        ...condition,
        ...(from !== undefined && { ExclusiveStartKey: from }),
      });
      const answer = await this.#done("query", () => this.#client.send(command));
      for (const item of answer.Items ?? []) yield itemOf(item);
      from = answer.LastEvaluatedKey;
    } while (from !== undefined);
  }

  async delete(keys: readonly TableKey[]): Promise<void> {
    for (let first = 0; first < keys.length; first += writesPerBatch) {
      const batch = keys.slice(first, first + writesPerBatch);
      let left: WriteRequest[] = batch.map(({ pk, sk }) => ({
        DeleteRequest: { Key: { pk: { S: pk }, sk: { S: sk } } },
      }));
      await this.#done("delete items", async () => {
        const command = new BatchWriteItemCommand({ RequestItems: { [this.#table]: left } });
        const { UnprocessedItems } = await this.#client.send(command);
        left = UnprocessedItems?.[this.#table] ?? [];
        if (left.length > 0) throw this.#throttled();
      });
    }
  }

  close(): void {
    this.#client.destroy();
  }

  /** Repeated while that may help; what DynamoDB refuses comes in our words. */
  #done<T>(verb: string, send: () => Promise<T>): Promise<T> {
    return this.#retry(() =>
      send().catch((error: unknown) => {
        throw this.#translated(error, verb);
      }),
    );
  }

  /** What DynamoDB had no room for comes back. */
  #throttled(): BackupError {
    return new BackupError("ThrottledError", `table ${this.#table}: items stay unprocessed`);
  }

  #translated(error: unknown, verb: string): unknown {
    if (error instanceof BackupError || !(error instanceof Error)) return error;
    const { code = error.name, message, $metadata } = error as ForeignError;
    const name = namesByCode[code] ?? nameOf(error, $metadata?.httpStatusCode);
    if (name === undefined) return error;
    const hint = hintsByCode[code];
    return new BackupError(name, `table ${this.#table}: cannot ${verb}: ${code}: ${message}`, {
      cause: error,
      ...(hint !== undefined && { hint }),
    });
  }
}

/** DynamoDB's codes whose HTTP status says too little, and those of the SDK. */
const namesByCode: Readonly<Record<string, ErrorName>> = {
  ResourceNotFoundException: "InvalidRequestError",
  ProvisionedThroughputExceededException: "ThrottledError",
  ThrottlingException: "ThrottledError",
  RequestLimitExceeded: "ThrottledError",
  AccessDeniedException: "AccessDeniedError",
  UnrecognizedClientException: "AccessDeniedError",
  InvalidSignatureException: "AccessDeniedError",
  ExpiredTokenException: "AccessDeniedError",
  CredentialsProviderError: "AccessDeniedError",
  TimeoutError: "StorageUnavailableError",
};

const hintsByCode: Readonly<Record<string, string>> = {
  ResourceNotFoundException:
    "Create the table with string keys pk and sk, or correct its name, region and endpoint.",
  AccessDeniedException: "Grant dynamodb:PutItem, Query and BatchWriteItem on the table.",
  CredentialsProviderError:
    "Set access_key_id and secret_access_key, AWS_* variables, a profile, or an instance role.",
};

function nameOf(error: Error, status: number | undefined): ErrorName | undefined {
  if (status === undefined) return isOfNetwork(error) ? "StorageUnavailableError" : undefined;
  // An answer that is not DynamoDB's at all (a proxy's page) comes with status 200.
  return status >= 500 || status < 300 ? "StorageUnavailableError" : "InvalidRequestError";
}

function storedOf(item: TableItem): StoredItem {
  const entries = Object.entries(item).map(([name, value]): [string, AttributeValue] => {
    if (typeof value === "string") return [name, { S: value }];
    return [name, typeof value === "number" ? { N: String(value) } : { BOOL: value }];
  });
  return Object.fromEntries(entries);
}

function itemOf(stored: StoredItem): TableItem {
  const item: Record<string, string | number | boolean> = {};
  for (const [name, { S, N, BOOL }] of Object.entries(stored)) {
    const value = S ?? (N === undefined ? BOOL : Number(N));
    if (value !== undefined) item[name] = value;
  }
  return item as TableItem;
}
