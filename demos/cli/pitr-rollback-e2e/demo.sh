#!/usr/bin/env bash
# Corrupted payments get into a topic and are consumed. Back to the millisecond before them, with the
# consumer group; and the group's reset undone once more.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs jq
uses_topics payments payments-everything
uses_groups payments-processor

# payments_in TOPIC: a line each, timestamp and value.
payments_in() {
  kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "$1" --from-beginning \
    --max-messages "$(count_records "$1")" --timeout-ms 60000 \
    --formatter-property print.timestamp=true 2> /dev/null
}

say '1. Normal traffic: 50 payments, of which the group payments-processor reads 30.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic payments --partitions 3
java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" ../../MakePayments.java \
  "$BOOTSTRAP_SERVERS" payments valid:1-50
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group payments-processor --from-beginning --max-messages 30 > "$WORK/read-before.txt"
SH

say '2. A safety checkpoint: where the group stands.'
run <<'SH'
kafka-backup offset-rollback snapshot --path "$BACKUPS" --groups payments-processor \
  --bootstrap-servers "$BOOTSTRAP_SERVERS" --description "Before the release" \
  --format json > "$WORK/snapshot.json"
SNAPSHOT_ID=$(jq -r .snapshot_id "$WORK/snapshot.json")
SH
check 'offsets committed before the incident' "$(committed payments-processor)" 30

say '3. The incident: 10 more good payments, and in the same record batches 40 corrupted ones. The group
   reads 45 before anybody notices.'
run <<'SH'
java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" ../../MakePayments.java \
  "$BOOTSTRAP_SERVERS" payments valid:51-60 CORRUPTED:61-100
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group payments-processor --max-messages 45 > "$WORK/read-during.txt"
SH
check 'offsets committed after the incident' "$(committed payments-processor)" 75

say '4. A backup is taken only now. It holds the corrupted payments as well.'
run <<'SH'
kafka-backup backup --config backup.yaml
SH

say '5. The time to go back to, in milliseconds, out of the records: that of the last good payment.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments --from-beginning \
  --max-messages 100 --formatter-property print.timestamp=true > "$WORK/payments.txt"
LAST_GOOD=$(grep '"valid"' "$WORK/payments.txt" | cut -f1 | cut -d: -f2 | sort -n | tail -n 1)
FIRST_BAD=$(grep CORRUPTED "$WORK/payments.txt" | cut -f1 | cut -d: -f2 | sort -n | head -n 1)
echo "last good payment $LAST_GOOD, first corrupted one $FIRST_BAD"
SH
check 'milliseconds between them' "$((FIRST_BAD - LAST_GOOD))" 1
across=$(batches_across "$LAST_GOOD" pitr payments 3)
check 'there are batches in the backup with records on both sides of that time' \
  "$([[ $across -gt 0 ]] && echo yes || echo no)" yes

say '6. What the backup holds, restored under another name and without a bound.'
run <<'SH'
kafka-backup restore --config restore-everything.yaml
SH
payments_in payments-everything > "$WORK/everything.txt"
check 'corrupted payments in the backup' "$(grep -c CORRUPTED "$WORK/everything.txt")" 40

say '7. The corrupted topic is deleted, and restored to that millisecond.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic payments
kafka-backup restore --config restore.yaml --time-window-end "$LAST_GOOD"
SH
payments_in payments > "$WORK/restored.txt"
check 'corrupted payments in the restored topic' "$(grep -c CORRUPTED "$WORK/restored.txt" || true)" 0
check_same 'the 60 good payments with their times' \
  <(grep '"valid"' "$WORK/payments.txt" | sort) <(sort "$WORK/restored.txt")

say '8. Where the group is to go on: at its position of before the incident.'
run <<'SH'
kafka-backup offset-reset plan --path "$BACKUPS" --backup-id pitr --groups payments-processor \
  --restore-id newest --bootstrap-servers "$BOOTSTRAP_SERVERS"
kafka-backup offset-reset execute --path "$BACKUPS" --backup-id pitr --groups payments-processor \
  --restore-id newest --bootstrap-servers "$BOOTSTRAP_SERVERS"
SH
check 'offsets committed after the reset' "$(committed payments-processor)" 30

say '9. The group goes on: 30 payments are left to it, all of them good.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group payments-processor --max-messages 30 --timeout-ms 60000 > "$WORK/read-after.txt"
kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --group payments-processor
SH
check 'corrupted payments read after the reset' "$(grep -c CORRUPTED "$WORK/read-after.txt" || true)" 0
check 'good payments read, before and after' \
  "$(sort -u "$WORK/read-before.txt" "$WORK/read-after.txt" | grep -c '"valid"')" 60
check 'offsets committed at the end' "$(committed payments-processor)" 60

say '10. Had the check failed: back to the checkpoint, and the group reads those 30 once more.'
run <<'SH'
kafka-backup offset-rollback verify --path "$BACKUPS" --snapshot-id "$SNAPSHOT_ID" \
  --bootstrap-servers "$BOOTSTRAP_SERVERS"
kafka-backup offset-rollback rollback --path "$BACKUPS" --snapshot-id "$SNAPSHOT_ID" \
  --bootstrap-servers "$BOOTSTRAP_SERVERS"
SH
check 'offsets committed after the rollback' "$(committed payments-processor)" 30

done_with_claims 12
