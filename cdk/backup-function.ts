/** One Lambda function with a role and a log group of its own (S6). */
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import type { ISecurityGroup, IVpc, SubnetSelection } from "aws-cdk-lib/aws-ec2";
import { PolicyStatement, Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import {
  Architecture,
  type Code,
  Function as LambdaFunction,
  Runtime,
  Tracing,
} from "aws-cdk-lib/aws-lambda";
import { LogGroup, RetentionDays } from "aws-cdk-lib/aws-logs";
import { Construct } from "constructs";
import { acknowledgePattern } from "#cdk/findings.ts";
import { isArm64, type Stage } from "#cdk/function-code.ts";

/** Where the brokers can be reached from. */
export interface Network {
  readonly vpc: IVpc;
  readonly vpcSubnets?: SubnetSelection;
  readonly securityGroups?: ISecurityGroup[];
}

export interface BackupFunctionProps {
  /** Of its file in `functions/`. */
  readonly name: string;
  readonly description: string;
  readonly code: Code;
  readonly stage: Stage;
  readonly memoryMb: number;
  /** Of the account's concurrency; undefined: what the others leave. */
  readonly reservedConcurrency?: number | undefined;
  readonly environment?: Record<string, string>;
  /** For functions that read from Kafka, where the brokers are in a VPC. */
  readonly network?: Network | undefined;
}

/** Lambda's limit: a worker's turn ends before it, all other steps are far shorter. */
const timeout = Duration.minutes(15);

/** What a function in a VPC needs to make its network interfaces; EC2 knows no resource for it. */
const networkInterfaceActions = [
  "ec2:CreateNetworkInterface",
  "ec2:DescribeNetworkInterfaces",
  "ec2:DescribeSubnets",
  "ec2:DeleteNetworkInterface",
  "ec2:AssignPrivateIpAddresses",
  "ec2:UnassignPrivateIpAddresses",
];

export class BackupFunction extends Construct {
  readonly function: LambdaFunction;
  readonly role: Role;

  constructor(scope: Construct, id: string, props: BackupFunctionProps) {
    super(scope, id);
    const { name, network } = props;
    const isLocal = props.stage === "local";
    this.role = new Role(this, "Role", {
      assumedBy: new ServicePrincipal("lambda.amazonaws.com"),
      description: `Of the function ${name}`,
    });
    const logGroup = new LogGroup(this, "Logs", {
      retention: RetentionDays.THREE_MONTHS,
      removalPolicy: isLocal ? RemovalPolicy.DESTROY : RemovalPolicy.RETAIN,
    });
    logGroup.grantWrite(this.role);
    if (network !== undefined) {
      this.role.addToPolicy(
        new PolicyStatement({ actions: networkInterfaceActions, resources: ["*"] }),
      );
    }
    acknowledgePattern(
      this.role,
      "*",
      "X-Ray, and network interfaces in a VPC, know no resources.",
    );
    this.function = new LambdaFunction(this, "Function", {
      description: props.description,
      code: props.code,
      handler: `${name}.handler`,
      runtime: isLocal ? Runtime.PROVIDED_AL2023 : Runtime.NODEJS_24_X,
      architecture: isArm64(props.stage) ? Architecture.ARM_64 : Architecture.X86_64,
      memorySize: props.memoryMb,
      ...(props.reservedConcurrency !== undefined && {
        reservedConcurrentExecutions: props.reservedConcurrency,
      }),
      timeout,
      role: this.role,
      logGroup,
      tracing: Tracing.ACTIVE,
      environment: {
        POWERTOOLS_SERVICE_NAME: name,
        POWERTOOLS_LOG_LEVEL: isLocal ? "WARN" : "INFO",
        ...(isLocal && { POWERTOOLS_TRACE_ENABLED: "false" }),
        ...props.environment,
      },
      ...network,
    });
  }
}
