#!/usr/bin/env bash
# Where three consumer groups stand, out of the backup alone, and where they will be after a restore.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs jq python3
uses_topics orders payments orders-restored payments-restored
uses_groups orders-streams payments-processor demo-consumer

# lag_of GROUP: its lag by Kafka's own tool.
lag_of() {
  kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --group "$1" \
    2> /dev/null | awk -v group="$1" '$1 == group { sum += $6 } END { print sum + 0 }'
}

# lag_in_report GROUP
lag_in_report() {
  jq --arg group "$1" '[.consumer_groups[$group].partitions[].lag] | add' "$WORK/offset-report.json"
}

say '1. Two topics: 100 orders, and a payment for each.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic orders --partitions 3
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic payments --partitions 3
awk -F, 'NR > 1 { printf "%s\t%s\n", $1, $0 }' ../../data/orders.csv |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
    --reader-property parse.key=true
awk -F, 'NR > 1 { printf "%s\tpayment of order %s, %s\n", $1, $1, $3 }' ../../data/orders.csv |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
    --reader-property parse.key=true
SH

say '2. Three groups read: 30 orders, 20 orders, 50 payments.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
  --group orders-streams --from-beginning --max-messages 30 > /dev/null
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
  --group payments-processor --from-beginning --max-messages 20 > /dev/null
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
  --group demo-consumer --from-beginning --max-messages 50 > /dev/null
SH

say '3. A backup keeps what all groups have committed beside the records.'
run <<'SH'
kafka-backup backup --config backup.yaml
SH

say '4. The report: from the backup alone, Kafka is not asked.'
run <<'SH'
kafka-backup show-offset-mapping --path "$BACKUPS" --backup-id offset-report
kafka-backup show-offset-mapping --path "$BACKUPS" --backup-id offset-report \
  --format json > "$WORK/offset-report.json"
SH

say '5. Questions to it, with jq: which groups, where one stands, who is behind by how much.'
run <<'SH'
jq '.consumer_groups | keys' "$WORK/offset-report.json"
jq '.consumer_groups["orders-streams"].partitions | map_values(.committed_offset)' \
  "$WORK/offset-report.json"
jq '.consumer_groups | map_values([.partitions[].lag] | add)' "$WORK/offset-report.json"
SH
for group in orders-streams payments-processor demo-consumer; do
  check "lag of $group, in the report as in Kafka" "$(lag_in_report "$group")" "$(lag_of "$group")"
done
check 'lag of the three' "$(for group in orders-streams payments-processor demo-consumer; do
  lag_in_report "$group"; done | paste -sd' ' -)" '70 80 50'

say '6. The same as a table, by a script of a few lines.'
run <<'SH'
python3 analyze_offsets.py "$WORK/offset-report.json"
SH
check 'total lag by the script' \
  "$(python3 analyze_offsets.py "$WORK/offset-report.json" | sed -n 's/^total lag: //p')" 200

say '7. After a restore, here under other names, the report says where each group is to go on.'
run <<'SH'
kafka-backup restore --config restore.yaml
kafka-backup show-offset-mapping --path "$BACKUPS" --backup-id offset-report \
  --format json > "$WORK/offset-report.json"
python3 analyze_offsets.py "$WORK/offset-report.json"
jq '.consumer_groups["orders-streams"].partitions | map_values({target_topic, target_offset, reason})' \
  "$WORK/offset-report.json"
SH
check 'positions without a target' \
  "$(jq '[.consumer_groups[].partitions[] | select(.target_offset == null)] | length' \
    "$WORK/offset-report.json")" 0

say '8. As CSV, for a spreadsheet.'
run <<'SH'
kafka-backup show-offset-mapping --path "$BACKUPS" --backup-id offset-report --format csv
SH
check 'lines of CSV' "$(kafka-backup show-offset-mapping --path "$BACKUPS" \
  --backup-id offset-report --format csv | wc -l | tr -d ' ')" 10

done_with_claims 7
