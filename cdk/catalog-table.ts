/** The table that makes lists quick and shows how far runs are; the bucket alone has everything. */
import { RemovalPolicy } from "aws-cdk-lib";
import { AttributeType, BillingMode, type ITable, Table } from "aws-cdk-lib/aws-dynamodb";
import { PolicyStatement, type Role } from "aws-cdk-lib/aws-iam";
import { Construct } from "constructs";

export interface CatalogTableProps {
  /** Whether the table stays when the stack goes. Only a local stage does without. */
  readonly retain: boolean;
}

export class CatalogTable extends Construct {
  readonly table: ITable;

  constructor(scope: Construct, id: string, { retain }: CatalogTableProps) {
    super(scope, id);
    this.table = new Table(this, "Table", {
      partitionKey: { name: "pk", type: AttributeType.STRING },
      sortKey: { name: "sk", type: AttributeType.STRING },
      timeToLiveAttribute: "expires_at",
      billingMode: BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: retain,
      removalPolicy: retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY,
    }) as ITable;
  }

  /** What `core/catalog/dynamodb.ts` asks for; removing items only where runs are closed. */
  grant(role: Role, may: { readonly remove: boolean }): void {
    const actions = ["dynamodb:PutItem", "dynamodb:Query"];
    if (may.remove) actions.push("dynamodb:BatchWriteItem");
    role.addToPolicy(new PolicyStatement({ actions, resources: [this.table.tableArn] }));
  }
}
