#!/usr/bin/env bash
# A topic is backed up to a bucket, deleted, and restored: the same records, byte for byte.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs jq
uses_topics orders

# Records as partition, timestamp, key and value: all that a consumer sees but the offset.
records() {
  kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
    --from-beginning --max-messages "$1" --timeout-ms 60000 --formatter-property print.key=true \
    --formatter-property print.partition=true --formatter-property print.timestamp=true \
    2> /dev/null | sort
}

say '1. A topic with 100 orders, keyed by order id.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic orders --partitions 3
awk -F, 'NR > 1 { printf "%s\t%s\n", $1, $0 }' ../../data/orders.csv |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
    --reader-property parse.key=true
kafka-get-offsets.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders
SH
check 'records in Kafka' "$(count_records orders)" 100
records 100 > "$WORK/before.txt"

say '2. The backup.'
run <<'SH'
kafka-backup config check --config backup.yaml
kafka-backup backup --config backup.yaml
kafka-backup list --path "$BACKUPS"
kafka-backup describe --path "$BACKUPS" --backup-id backup-basic
SH

say '3. Every byte of it is read and checked.'
run <<'SH'
kafka-backup validate --path "$BACKUPS" --backup-id backup-basic --deep
SH
check 'records in the backup' "$(kafka-backup describe --path "$BACKUPS" --backup-id backup-basic \
  --format json | jq .totals.record_count)" 100

say '4. The accident: the topic is gone.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic orders
SH
until_true 30 eval '! topic_exists orders' || fail 'topic orders is still there'

say '5. What a restore would do; nothing is written yet.'
run <<'SH'
kafka-backup restore --config restore.yaml --dry-run
SH
check 'topics named orders after the dry run' "$(topic_exists orders && echo 1 || echo 0)" 0

say '6. The restore creates the topic as it was, writes, reads back and compares.'
run <<'SH'
kafka-backup restore --config restore.yaml
kafka-get-offsets.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders
SH
check 'records in Kafka again' "$(count_records orders)" 100
records 100 > "$WORK/after.txt"
check_same 'keys, values, timestamps and partitions' "$WORK/before.txt" "$WORK/after.txt"

say '7. The same command once more: it is done already, and nothing is written twice.'
run <<'SH'
kafka-backup restore --config restore.yaml
SH
check 'records in Kafka still' "$(count_records orders)" 100

done_with_claims 6
