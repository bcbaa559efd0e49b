#!/usr/bin/env bash
# A schedule fires each minute and continues a backup by itself; a point inside a batch that came
# between two of its runs is restored.
. "$(dirname "${BASH_SOURCE[0]}")/../serverless.sh"

needs jq java
deploys KafkaBackupScheduled
uses_topics payments payments-everything payments-restored

# payments_in TOPIC: a line each, timestamp and value.
payments_in() {
  kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "$1" --from-beginning \
    --max-messages "$(count_records "$1")" --timeout-ms 60000 \
    --formatter-property print.timestamp=true 2> /dev/null
}

# archived: how many records the backup holds; 0 where there is none yet.
archived() {
  kafka-backup describe --path "$BACKUPS" --backup-id payments --format json 2> /dev/null |
    jq .totals.record_count || echo 0
}

has_archived() {
  [[ $(archived) == "$1" ]]
}

# scheduled_runs: a line for each run that the schedule has made, how many records it brought. The
# oldest first; those that found nothing new are left out.
scheduled_runs() {
  local arn
  for arn in $(node ../aws.ts stepfunctions list-executions --state-machine-arn "$BACKUP" |
    jq -r '.executions | sort_by(.startDate)[] | select(.status == "SUCCEEDED").executionArn'); do
    told_of "$arn" 'select((.input | fromjson).if_running == "skip").output | fromjson
      | .record_count // 0 | select(. > 0)'
  done
}

say '1. A topic with 50 payments, in ordinary traffic.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic payments --partitions 3
java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" ../../MakePayments.java \
  "$BOOTSTRAP_SERVERS" payments valid:1-50
SH

say '2. The serverless side is deployed, with a schedule in its configuration.'
run <<'SH'
export BACKUP_BUCKET="serverless-$(date +%s)"
export BACKUPS="s3://$BACKUP_BUCKET"
node ../deploy.ts backup.yaml KafkaBackupScheduled > "$WORK/stage.json"
BACKUP=$(jq -r .stateMachines.backup "$WORK/stage.json")
RESTORE=$(jq -r .stateMachines.restore "$WORK/stage.json")
SH

say '3. Nobody starts anything. Within a minute or so the schedule does.'
until_true 600 has_archived 50 || fail 'the schedule made no backup within 600 s'
run <<'SH'
kafka-backup list --path "$BACKUPS"
node ../aws.ts stepfunctions list-executions --state-machine-arn "$BACKUP" |
  jq -r '.executions[] | [.startDate, .status, .name] | @tsv'
SH
check 'records that the schedule has backed up' "$(archived)" 50

say '4. Between two runs comes the incident: 10 good payments, and in the same batches 40 corrupted ones.'
run <<'SH'
java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" ../../MakePayments.java \
  "$BOOTSTRAP_SERVERS" payments valid:51-60 CORRUPTED:61-100
SH

say '5. The schedule fires again, and takes them: only what is new, good and bad.'
until_true 600 has_archived 100 || fail 'the schedule made no second run within 600 s'
run <<'SH'
kafka-backup describe --path "$BACKUPS" --backup-id payments
SH
have_ended() { [[ $(scheduled_runs | awk '{ sum += $1 } END { print sum }') == 100 ]]; }
until_true 120 have_ended || true
scheduled_runs > "$WORK/runs.txt"
check 'records that its first run brought' "$(sed -n 1p "$WORK/runs.txt")" 50
check 'records that came later' "$(awk 'NR > 1 { sum += $1 } END { print sum + 0 }' "$WORK/runs.txt")" 50

say '6. The time to go back to, in milliseconds, out of the records: that of the last good payment.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments --from-beginning \
  --max-messages 100 --formatter-property print.timestamp=true > "$WORK/payments.txt"
LAST_GOOD=$(grep '"valid"' "$WORK/payments.txt" | cut -f1 | cut -d: -f2 | sort -n | tail -n 1)
FIRST_BAD=$(grep CORRUPTED "$WORK/payments.txt" | cut -f1 | cut -d: -f2 | sort -n | head -n 1)
echo "last good payment $LAST_GOOD, first corrupted one $FIRST_BAD"
SH
check 'milliseconds between them' "$((FIRST_BAD - LAST_GOOD))" 1
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

say '8. Beside the live topic, as it was at that millisecond.'
run <<'SH'
INPUT=$(jq --arg time "$LAST_GOOD" '.time_window_end = $time' restore.json)
EXECUTION=$(node ../aws.ts stepfunctions start-execution --state-machine-arn "$RESTORE" \
  --input "$INPUT" | jq -r .executionArn)
SH
await_end "$EXECUTION"
run <<'SH'
node ../aws.ts stepfunctions describe-execution --execution-arn "$EXECUTION" |
  jq '.status, (.output | fromjson | { status, generation, record_count, sent })'
kafka-get-offsets.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments-restored
SH
payments_in payments-restored > "$WORK/restored.txt"
check 'corrupted payments in the restored topic' "$(grep -c CORRUPTED "$WORK/restored.txt" || true)" 0
check_same 'the 60 good payments with their times' \
  <(grep '"valid"' "$WORK/payments.txt" | sort) <(sort "$WORK/restored.txt")

say '9. Meanwhile the schedule went on: what is the same it does not take twice.'
check 'records in the backup' "$(archived)" 100

done_with_claims 9
