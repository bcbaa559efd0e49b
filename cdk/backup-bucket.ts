/** The bucket that backups lie in, and what may be done to which keys of it. */
import { Duration, RemovalPolicy } from "aws-cdk-lib";
import { PolicyStatement, type Role } from "aws-cdk-lib/aws-iam";
import { Key } from "aws-cdk-lib/aws-kms";
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  type BucketProps,
  type IBucket,
  ObjectLockRetention,
  ObjectOwnership,
} from "aws-cdk-lib/aws-s3";
import { Construct } from "constructs";
import { acknowledgePattern, acknowledgeRule } from "#cdk/findings.ts";

export type Encryption = "kms" | "s3";

/** No version of an object can be removed before it is so many days old. */
export interface ObjectLock {
  /** `governance`: but by who has the right to; `compliance`: by nobody, AWS included. */
  readonly mode: "governance" | "compliance";
  readonly days: number;
}

export interface BackupBucketProps {
  readonly bucketName: string;
  /** Folder in the bucket; empty for the whole bucket. */
  readonly prefix: string;
  /** `kms`: a key of its own; `s3`: S3's own keys. */
  readonly encryption: Encryption;
  /** Whether the bucket stays when the stack goes. Only a local stage does without. */
  readonly retain: boolean;
  readonly objectLock?: ObjectLock | undefined;
  /** Taken as it is in place of a new one; only `prefix` counts then. */
  readonly existing?: IBucket | undefined;
}

/** What a role may do, by patterns of keys below a backup's folder: `state/*`. */
export interface KeyGrants {
  readonly read: readonly string[];
  readonly write?: readonly string[];
  readonly delete?: readonly string[];
}

/** Long enough to bring back what was deleted by accident, seen at the next month's end. */
const oldVersionsDays = 90;
const abandonedUploadsDays = 7;

export class BackupBucket extends Construct {
  readonly bucket: IBucket;
  readonly #prefix: string;

  constructor(scope: Construct, id: string, props: BackupBucketProps) {
    super(scope, id);
    const { prefix, existing } = props;
    this.#prefix = prefix === "" ? "" : `${prefix}/`;
    this.bucket = existing ?? newBucket(this, props);
  }

  /**
   * Objects only of those patterns; listing is of the whole prefix, as S3 knows no other. S3 tells
   * only those who may list that an object is not there (404, not 403), and a request for an
   * object has no `s3:prefix`: hence IfExists.
   */
  grant(role: Role, grants: KeyGrants): void {
    role.addToPolicy(
      new PolicyStatement({
        actions: ["s3:ListBucket"],
        resources: [this.bucket.bucketArn],
        conditions: { StringLikeIfExists: { "s3:prefix": `${this.#prefix}*` } },
      }),
    );
    this.#allow(role, ["s3:GetObject"], grants.read);
    this.#allow(role, ["s3:PutObject", "s3:AbortMultipartUpload"], grants.write);
    this.#allow(role, ["s3:DeleteObject"], grants.delete);
    this.#allowKey(role, grants.write !== undefined);
  }

  /** For a state machine, whose Map reads the list of work items and nothing else. */
  grantReadOnly(role: Role, pattern: string): void {
    this.#allow(role, ["s3:GetObject"], [pattern]);
    this.#allowKey(role, false);
  }

  #allow(role: Role, actions: string[], patterns: readonly string[] = []): void {
    if (patterns.length === 0) return;
    const resources = patterns.map((pattern) => this.bucket.arnForObjects(this.#prefix + pattern));
    role.addToPolicy(new PolicyStatement({ actions, resources }));
    const reason = "Keys hold ids of backups and runs and names of topics, known only at run time.";
    for (const resource of resources) acknowledgePattern(role, resource, reason);
  }

  #allowKey(role: Role, writes: boolean): void {
    const actions = ["kms:Decrypt", ...(writes ? ["kms:GenerateDataKey"] : [])];
    this.bucket.encryptionKey?.grant(role, ...actions);
  }
}

function newBucket(scope: Construct, props: BackupBucketProps): IBucket {
  const bucket = new Bucket(scope, "Bucket", {
    bucketName: props.bucketName,
    ...protection(scope, props),
  });
  const reason =
    "Who reads and writes objects is recorded by CloudTrail's data events, where an account wants them: server access logs are best effort.";
  acknowledgeRule(bucket, "S1", reason);
  return bucket as IBucket;
}

function protection(
  scope: Construct,
  { encryption, retain, objectLock }: BackupBucketProps,
): BucketProps {
  const removalPolicy = retain ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
  const keys: BucketProps =
    encryption === "kms"
      ? {
          encryption: BucketEncryption.KMS,
          encryptionKey: new Key(scope, "Key", { enableKeyRotation: true, removalPolicy }),
          bucketKeyEnabled: true,
        }
      : { encryption: BucketEncryption.S3_MANAGED };
  return {
    ...keys,
    ...(objectLock !== undefined && { objectLockDefaultRetention: retentionOf(objectLock) }),
    removalPolicy,
    enforceSSL: true,
    minimumTLSVersion: 1.2,
    versioned: true,
    blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
    objectOwnership: ObjectOwnership.BUCKET_OWNER_ENFORCED,
    lifecycleRules: [
      {
        abortIncompleteMultipartUploadAfter: Duration.days(abandonedUploadsDays),
        noncurrentVersionExpiration: Duration.days(oldVersionsDays),
        expiredObjectDeleteMarker: true,
      },
    ],
  };
}

/**
 * The default of the bucket, which S3 applies to whatever is written: no function needs a right to
 * lock, nor can one forget to. State and leases are locked with it. That stands in nobody's way:
 * what is deleted is hidden behind a delete marker, what is created again is another version; it
 * costs the space of small objects for these days.
 */
function retentionOf({ mode, days }: ObjectLock): ObjectLockRetention {
  const duration = Duration.days(days);
  return mode === "governance"
    ? ObjectLockRetention.governance(duration)
    : ObjectLockRetention.compliance(duration);
}
