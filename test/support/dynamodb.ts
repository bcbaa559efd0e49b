/** Tables of the catalogue in an emulated DynamoDB. */
import { randomBytes } from "node:crypto";
import {
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  ScanCommand,
} from "@aws-sdk/client-dynamodb";
import { type TableLocation, tableAttributes } from "#core/catalog/table.ts";
import type { Ministack } from "#local/ministack.ts";

type Emulator = Pick<Ministack, "endpoint" | "region" | "accessKeyId" | "secretAccessKey">;

export interface TestTable {
  readonly location: TableLocation;
  /** `pk sk` of all items, ascending. */
  keys(): Promise<string[]>;
  drop(): Promise<void>;
}

export async function createTable(emulator: Emulator): Promise<TestTable> {
  const { endpoint, region, accessKeyId, secretAccessKey } = emulator;
  const credentials = { accessKeyId, secretAccessKey };
  const client = new DynamoDBClient({ endpoint, region, credentials });
  const TableName = `catalog-${randomBytes(4).toString("hex")}`;
  const { partitionKey, sortKey } = tableAttributes;
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [
        { AttributeName: partitionKey, KeyType: "HASH" },
        { AttributeName: sortKey, KeyType: "RANGE" },
      ],
      AttributeDefinitions: [partitionKey, sortKey].map((name) => ({
        AttributeName: name,
        AttributeType: "S",
      })),
    }),
  );
  return {
    location: {
      ...{ table: TableName, region, endpoint },
      ...{ access_key_id: accessKeyId, secret_access_key: secretAccessKey },
    },
    async keys() {
      const { Items = [] } = await client.send(new ScanCommand({ TableName }));
      return Items.map(({ pk, sk }) => `${pk?.S} ${sk?.S}`).sort();
    },
    async drop() {
      await client.send(new DeleteTableCommand({ TableName }));
    },
  };
}
