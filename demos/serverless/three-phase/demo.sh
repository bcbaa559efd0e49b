#!/usr/bin/env bash
# The serverless side in an AWS emulator: state machines back up and restore, and a person approves
# where consumer groups are put before one of them is touched.
. "$(dirname "${BASH_SOURCE[0]}")/../serverless.sh"

needs jq java
deploys KafkaBackupThreePhase
uses_topics payments payments-everything
uses_groups payments-processor demo-consumer

# payments_in TOPIC: a line each, timestamp and value.
payments_in() {
  kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "$1" --from-beginning \
    --max-messages "$(count_records "$1")" --timeout-ms 60000 \
    --formatter-property print.timestamp=true 2> /dev/null
}

# is_asked: whether the question that an execution waits with is in the bucket.
is_asked() {
  still_runs "$EXECUTION" || fail "the execution ended: $(told_of "$EXECUTION" '.error, .cause')"
  node ../aws.ts s3 ls --recursive "s3://$BACKUP_BUCKET/payments/three-phase/" |
    grep -q '/approval.json$'
}

say '1. The serverless side is deployed: a bucket, a table, functions, and five state machines.'
run <<'SH'
export BACKUP_BUCKET="serverless-$(date +%s)"
node ../deploy.ts backup.yaml KafkaBackupThreePhase > "$WORK/stage.json"
jq . "$WORK/stage.json"
BACKUP=$(jq -r '.stateMachines.backup' "$WORK/stage.json")
RESTORE=$(jq -r '.stateMachines.restore' "$WORK/stage.json")
THREE_PHASE=$(jq -r '.stateMachines["three-phase-restore"]' "$WORK/stage.json")
SH

say '2. Normal traffic: 50 payments. The group payments-processor reads 30 of them, demo-consumer all.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic payments --partitions 3
java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" ../../MakePayments.java \
  "$BOOTSTRAP_SERVERS" payments valid:1-50
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group payments-processor --from-beginning --max-messages 30 > "$WORK/processor-before.txt"
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group demo-consumer --from-beginning --max-messages 50 > "$WORK/demo-before.txt"
SH

say '3. A backup, by the machine. It keeps where the groups stand, too.'
run <<'SH'
EXECUTION=$(node ../aws.ts stepfunctions start-execution --state-machine-arn "$BACKUP" \
  --input '{}' | jq -r .executionArn)
SH
await_end "$EXECUTION"
run <<'SH'
node ../aws.ts stepfunctions describe-execution --execution-arn "$EXECUTION" |
  jq '.status, (.output | fromjson | { status, generation, record_count, segment_count })'
SH
check 'records in the first run' "$(told_of "$EXECUTION" '.output | fromjson | .record_count')" 50

say '4. The incident: 10 more good payments, and in the same record batches 40 corrupted ones. Both
   groups read some of them.'
run <<'SH'
java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" ../../MakePayments.java \
  "$BOOTSTRAP_SERVERS" payments valid:51-60 CORRUPTED:61-100
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group payments-processor --max-messages 45 > "$WORK/processor-during.txt"
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group demo-consumer --max-messages 50 > "$WORK/demo-during.txt"
SH

say '5. The next run takes what came since, the corrupted payments among it.'
run <<'SH'
EXECUTION=$(node ../aws.ts stepfunctions start-execution --state-machine-arn "$BACKUP" \
  --input '{}' | jq -r .executionArn)
SH
await_end "$EXECUTION"
check 'records in the second run' "$(told_of "$EXECUTION" '.output | fromjson | .record_count')" 50

say '6. The time to go back to, in milliseconds, out of the records: that of the last good payment.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments --from-beginning \
  --max-messages 100 --formatter-property print.timestamp=true > "$WORK/payments.txt"
LAST_GOOD=$(grep '"valid"' "$WORK/payments.txt" | cut -f1 | cut -d: -f2 | sort -n | tail -n 1)
FIRST_BAD=$(grep CORRUPTED "$WORK/payments.txt" | cut -f1 | cut -d: -f2 | sort -n | head -n 1)
echo "last good payment $LAST_GOOD, first corrupted one $FIRST_BAD"
SH
check 'milliseconds between them' "$((FIRST_BAD - LAST_GOOD))" 1
export BACKUPS=s3://$BACKUP_BUCKET
across=$(batches_across "$LAST_GOOD" payments payments 3)
check 'there are batches in the backup with records on both sides of that time' \
  "$([[ $across -gt 0 ]] && echo yes || echo no)" yes

say '7. What the backup holds, restored by the machine under another name and without a bound.'
run <<'SH'
EXECUTION=$(node ../aws.ts stepfunctions start-execution --state-machine-arn "$RESTORE" \
  --input "$(cat restore-everything.json)" | jq -r .executionArn)
SH
await_end "$EXECUTION"
payments_in payments-everything > "$WORK/everything.txt"
check 'corrupted payments in the backup' "$(grep -c CORRUPTED "$WORK/everything.txt")" 40

say '8. The corrupted topic is deleted, and a restore in three phases is started, which is to ask before
   it sets the groups.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic payments
INPUT=$(jq --arg time "$LAST_GOOD" '.time_window_end = $time' three-phase-restore.json)
EXECUTION=$(node ../aws.ts stepfunctions start-execution --state-machine-arn "$THREE_PHASE" \
  --input "$INPUT" | jq -r .executionArn)
SH
until_true 600 is_asked || fail "nothing was asked within 600 s"

say '9. It waits. The records are restored and verified, and no group is touched.'
run <<'SH'
node ../aws.ts stepfunctions describe-execution --execution-arn "$EXECUTION" | jq -r .status
kafka-get-offsets.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments
SH
check 'the execution, while it waits' "$(told_of "$EXECUTION" .status)" RUNNING
payments_in payments > "$WORK/restored.txt"
check 'corrupted payments in the restored topic' "$(grep -c CORRUPTED "$WORK/restored.txt" || true)" 0
check_same 'the 60 good payments with their times' \
  <(grep '"valid"' "$WORK/payments.txt" | sort) <(sort "$WORK/restored.txt")
check 'offsets committed by payments-processor' "$(committed payments-processor)" 0
check 'offsets committed by demo-consumer' "$(committed demo-consumer)" 0

say '10. A person looks at the question, and at the plan.'
run <<'SH'
KEY=$(node ../aws.ts s3 ls --recursive "s3://$BACKUP_BUCKET/payments/three-phase/" |
  awk '$4 ~ /\/approval.json$/ { print $4 }')
node ../aws.ts s3 cp "s3://$BACKUP_BUCKET/$KEY" - > "$WORK/approval.json"
jq '{ restored_records, strategy, offset_source, groups: .groups.first }' "$WORK/approval.json"
node ../aws.ts s3 cp "s3://$BACKUP_BUCKET/$(jq -r .plan "$WORK/approval.json")" - > "$WORK/plan.json"
jq -r '.groups[] | .group as $group | .partitions[]
  | [$group, .topic, .partition, .target_offset] | @tsv' "$WORK/plan.json"
SH
check 'offsets that the plan gives payments-processor' "$(jq '[.groups[]
  | select(.group == "payments-processor").partitions[].target_offset | tonumber] | add' \
  "$WORK/plan.json")" 30

say '11. And approves it.'
run <<'SH'
node ../aws.ts stepfunctions send-task-success \
  --task-token "$(jq -r .task_token "$WORK/approval.json")" \
  --task-output '{"decision":"approve","by":"Ada"}'
SH
await_end "$EXECUTION"
run <<'SH'
node ../aws.ts stepfunctions describe-execution --execution-arn "$EXECUTION" |
  jq '.status, (.output | fromjson | { status, outcome, record_count, groups: .groups.first })'
SH
check 'what became of it' "$(told_of "$EXECUTION" '.output | fromjson | .status')" 'done'
check 'offsets committed by payments-processor' "$(committed payments-processor)" 30
check 'offsets committed by demo-consumer' "$(committed demo-consumer)" 50

say '12. Both groups go on: what is left to them is good, and each payment is read once.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group payments-processor --max-messages 30 --timeout-ms 60000 > "$WORK/processor-after.txt"
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group demo-consumer --max-messages 10 --timeout-ms 60000 > "$WORK/demo-after.txt"
kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe \
  --group payments-processor --group demo-consumer
SH
for group in processor demo; do
  sort "$WORK/$group-before.txt" "$WORK/$group-after.txt" > "$WORK/$group-all.txt"
  check "good payments in $group-before.txt and $group-after.txt, each once" \
    "$(uniq -u "$WORK/$group-all.txt" | grep -c '"valid"')" 60
  check "corrupted ones in $group-after.txt" "$(grep -c CORRUPTED "$WORK/$group-after.txt" || true)" 0
done

done_with_claims 18
