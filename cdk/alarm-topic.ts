/**
 * Where a deployment's alarms are told, and what a person is asked: a topic that is encrypted and
 * takes nothing but TLS (S7).
 */
import { RemovalPolicy, Stack } from "aws-cdk-lib";
import { PolicyStatement, type Role, ServicePrincipal } from "aws-cdk-lib/aws-iam";
import { Key } from "aws-cdk-lib/aws-kms";
import { Topic } from "aws-cdk-lib/aws-sns";
import { EmailSubscription } from "aws-cdk-lib/aws-sns-subscriptions";
import { Construct } from "constructs";

export interface AlarmTopicProps {
  /** Is asked by AWS to confirm. Others subscribe to the topic themselves. */
  readonly email?: string | undefined;
}

const useOfKey = ["kms:Decrypt", "kms:GenerateDataKey"];

export class AlarmTopic extends Construct {
  readonly topic: Topic;
  readonly #key: Key;

  constructor(scope: Construct, id: string, { email }: AlarmTopicProps) {
    super(scope, id);
    // CloudWatch can publish to an encrypted topic only where it may use the key, and nobody can
    // let it use SNS's own.
    this.#key = new Key(this, "Key", {
      description: "Of the topic that alarms of kafka-backup are told to",
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.topic = new Topic(this, "Topic", { masterKey: this.#key, enforceSSL: true });
    const { account } = Stack.of(this);
    this.#key.grant(new ServicePrincipal("cloudwatch.amazonaws.com"), ...useOfKey);
    this.topic.grantPublish(
      new ServicePrincipal("cloudwatch.amazonaws.com", {
        conditions: { StringEquals: { "aws:SourceAccount": account } },
      }),
    );
    if (email !== undefined) this.topic.addSubscription(new EmailSubscription(email));
  }

  /** For a state machine that asks somebody. */
  grantPublish(role: Role): void {
    role.addToPolicy(
      new PolicyStatement({ actions: ["sns:Publish"], resources: [this.topic.topicArn] }),
    );
    // Not `Topic.grantPublish`, which lets a role use all actions that begin with GenerateDataKey.
    this.#key.grant(role, ...useOfKey);
  }
}
