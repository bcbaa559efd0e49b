/** What is done with the commands of each document: how they are run, or why they are not. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type CommandBlock, commandBlocks } from "#test/support/markdown.ts";

const root = join(import.meta.dirname, "../..");

export interface Guide {
  /** Blocks, or single lines, that are not run, by how they begin; each with the reason. */
  readonly notRun: Readonly<Record<string, string>>;
  /** What the commands find there: shell, before the first of them. */
  readonly before?: string;
  /** What stands for a place or a name of the reader's own, and what it is here. */
  readonly stands?: readonly (readonly [written: string, here: string])[];
}

const noAws = "needs an account of AWS and its command line";
const noTools = "needs the tools zstd, lz4, gzip and python3, and a segment of the reader's own";
const ownTests = "has tests of its own";

/** What operations.md begins with: a backup with a restore out of it, and two groups. */
const beforeOperations = `
cd "$WORK"
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic payments --partitions 1
seq 1 20 | kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments
for group in billing audit; do
  kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \\
    --group "$group" --from-beginning --max-messages 12 > /dev/null
done
cat > both.yaml <<'YAML'
mode: backup
backup_id: operations
source: { bootstrap_servers: "\${BOOTSTRAP_SERVERS}", topics: { include: [payments] } }
storage: { backend: filesystem, path: backups }
YAML
kafka-backup backup --config both.yaml
cat > restore.yaml <<'YAML'
mode: restore
backup_id: operations
target: { bootstrap_servers: "\${BOOTSTRAP_SERVERS}" }
storage: { backend: filesystem, path: backups }
restore: { topic_mapping: { payments: payments-restored } }
YAML
kafka-backup restore --config restore.yaml
snapshot() {
  kafka-backup offset-rollback list --path backups --format json | jq -r '.[0].snapshot_id'
}
`;

/** What the README's reader has: topics, a group that read of them, and the files of the README. */
const beforeReadme = `
cd "$WORK"
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic orders-eu --partitions 1
seq 1 40 | sed 's/^/order-/' |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders-eu
for group in payments-processor orders-billing; do
  kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders-eu \\
    --group "$group" --from-beginning --max-messages 25 > /dev/null
done
kafka-backup backup --config readme-backup.yaml
fill_in() {
  GOOD_UNTIL=$(node -p 'new Date().toISOString()')
  sed "s/2025-01-15T10:30:00.000Z/$GOOD_UNTIL/" readme-restore.yaml > restore.yaml
  cp readme-backup.yaml backup.yaml
  seq 1 10 | sed 's/^/CORRUPTED-/' |
    kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders-eu
}
`;

/** By path. Every document that has commands is named. */
export const guides: Readonly<Record<string, Guide>> = {
  "README.md": {
    notRun: { "npm run demo": ownTests },
    before: beforeReadme,
    stands: [
      ["kafka-backup config check", "fill_in\nkafka-backup config check"],
      ["--path /backups", "--path s3://kafka-backups"],
      ["s3://bucket/prefix", "s3://kafka-backups"],
      ["2025-01-15T10:30:00.000Z", '"$GOOD_UNTIL"'],
    ],
  },
  "CONTRIBUTING.md": { notRun: { "npm ci": "installs, tests and measures this checkout itself" } },
  "docs/quickstart.md": {
    notRun: { "demos/shell": "opens the shell that the test stands in for" },
  },
  "docs/restore-guide.md": { notRun: {} },
  "docs/offset-mapping.md": { notRun: {} },
  "docs/storage-guide.md": {
    notRun: { "aws s3api create-bucket": noAws, "aws s3 sync": noAws },
  },
  "docs/operations.md": {
    notRun: {
      "kafka-transactions.sh --bootstrap-server HOST:PORT abort":
        "names a transaction that a dead producer left open",
    },
    before: beforeOperations,
    stands: [
      ["LOCATION", "backups"],
      ["HOST:PORT", '"$BOOTSTRAP_SERVERS"'],
      ["NAME,NAME", "billing,audit"],
      ["--backup-id ID", "--backup-id operations"],
      ["--snapshot-id ID", '--snapshot-id "$(snapshot)"'],
      [" ID ID", ' "$(snapshot)" "$(snapshot)"'],
      ["--broker-id ID", "--broker-id 1"],
    ],
  },
  "docs/format.md": {
    notRun: {
      "zstd -d -c": noTools,
      "cd /backups/orders": noTools,
      "kafka-dump-log.sh": "reads what the blocks before it made",
      "frame=$(jq": noTools,
    },
  },
  "docs/aws-guide.md": { notRun: { "npm run local": ownTests } },
  "docs/demo-index.md": {
    notRun: {
      "npm run demos": ownTests,
      "demos/shell": "opens the shell that the test stands in for",
      "docker compose up": "needs Docker",
    },
  },
  "statemachines/README.md": {
    notRun: {
      "aws stepfunctions start-execution": `${noAws}; tests start the machines with the inputs below`,
      "aws stepfunctions send-task-success": `${noAws}; tests answer with these outputs`,
    },
  },
};

/** All documents that are for users or for those who work on the tree, but for those of demos. */
export const documents: readonly string[] = [
  "README.md",
  "CONTRIBUTING.md",
  "statemachines/README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".md"))
    .map((path) => `docs/${path}`)
    .sort(),
];

export function readDocument(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The blocks that a guide's session runs, with what stands for the reader's own in them. */
export function blocksToRun(path: string): CommandBlock[] {
  const { notRun, stands = [] } = guides[path]!;
  const starts = Object.keys(notRun);
  const isNotRun = (text: string) => starts.some((start) => text.startsWith(start));
  return commandBlocks(readDocument(path))
    .filter(({ text }) => !isNotRun(text))
    .map(({ line, text }) => {
      const lines = text.split("\n").filter((one) => !isNotRun(one));
      const here = stands.reduce((now, [from, to]) => now.replaceAll(from, to), lines.join("\n"));
      return { line, text: here };
    });
}
