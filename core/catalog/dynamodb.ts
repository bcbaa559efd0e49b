/**
 * A table in DynamoDB. Needs dynamodb:PutItem, Query and BatchWriteItem on it. This is the one
 * file that imports the SDK, and it is imported only when needed.
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
import { awsClientConfig } from "#core/storage/aws-connection.ts";

/** With the SDK's growing pauses, some 25 s of throttling. */
const attemptsMax = 10;
/** DynamoDB's limit on BatchWriteItem. */
const writesPerBatch = 25;

type StoredItem = Record<string, AttributeValue>;

export function openDynamoTable(location: TableLocation): CatalogTable {
  return new DynamoTable(
    new DynamoDBClient({ ...awsClientConfig(location), maxAttempts: attemptsMax }),
    location.table,
  );
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

  constructor(client: DynamoDBClient, table: string) {
    this.#client = client;
    this.#table = table;
  }

  async put(item: TableItem, order: number): Promise<boolean> {
    const command = new PutItemCommand({
      TableName: this.#table,
      Item: { ...storedOf(item), order: { N: String(order) } },
      ConditionExpression: "attribute_not_exists(pk) OR #order <= :order",
      ExpressionAttributeNames: { "#order": "order" },
      ExpressionAttributeValues: { ":order": { N: String(order) } },
    });
    try {
      await this.#client.send(command);
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw this.#translated(error, "put an item");
    }
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
      const answer = await this.#client.send(command).catch((error: unknown) => {
        throw this.#translated(error, "query");
      });
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
      for (let attempt = 1; left.length > 0; attempt++) {
        if (attempt > attemptsMax) throw this.#throttled();
        left = await this.#write(left);
      }
    }
  }

  close(): void {
    this.#client.destroy();
  }

  /** What DynamoDB had no room for comes back. */
  async #write(requests: WriteRequest[]): Promise<WriteRequest[]> {
    const command = new BatchWriteItemCommand({ RequestItems: { [this.#table]: requests } });
    try {
      const { UnprocessedItems } = await this.#client.send(command);
      return UnprocessedItems?.[this.#table] ?? [];
    } catch (error) {
      throw this.#translated(error, "delete items");
    }
  }

  #throttled(): BackupError {
    return new BackupError("ThrottledError", `table ${this.#table}: items stay unprocessed`);
  }

  #translated(error: unknown, verb: string): unknown {
    if (!(error instanceof Error)) return error;
    const { code = error.name, message, $metadata } = error as ForeignError;
    const name = namesByCode[code] ?? nameOfStatus($metadata?.httpStatusCode);
    if (name === undefined) return error;
    const hint = hintsByCode[code];
    return new BackupError(name, `table ${this.#table}: cannot ${verb}: ${code}: ${message}`, {
      cause: error,
      ...(hint !== undefined && { hint }),
    });
  }
}

/** DynamoDB's codes whose HTTP status says too little, and those of the SDK and the network. */
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
  ECONNREFUSED: "StorageUnavailableError",
  ECONNRESET: "StorageUnavailableError",
  EAI_AGAIN: "StorageUnavailableError",
  ENOTFOUND: "StorageUnavailableError",
  ETIMEDOUT: "StorageUnavailableError",
};

const hintsByCode: Readonly<Record<string, string>> = {
  ResourceNotFoundException:
    "Create the table with string keys pk and sk, or correct its name, region and endpoint.",
  AccessDeniedException: "Grant dynamodb:PutItem, Query and BatchWriteItem on the table.",
  CredentialsProviderError:
    "Set access_key_id and secret_access_key, AWS_* variables, a profile, or an instance role.",
};

function nameOfStatus(status: number | undefined): ErrorName | undefined {
  if (status === undefined) return undefined;
  if (status >= 500) return "StorageUnavailableError";
  return status >= 400 ? "InvalidRequestError" : undefined;
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
