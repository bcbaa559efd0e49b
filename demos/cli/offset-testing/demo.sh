#!/usr/bin/env bash
# Where a consumer group stands: kept as a snapshot, looked at, compared, and put back.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs jq
uses_topics orders
uses_groups orders-streams

say '1. A topic with 100 orders, keyed by order id.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic orders --partitions 3
awk -F, 'NR > 1 { printf "%s\t%s\n", $1, $0 }' ../../data/orders.csv |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
    --reader-property parse.key=true
SH

say '2. The group orders-streams reads 50 of them and stops.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
  --group orders-streams --from-beginning --max-messages 50 > "$WORK/first-half.txt"
kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --group orders-streams
SH

say '3. What it has committed is kept as a snapshot. Nothing changes in Kafka.'
run <<'SH'
kafka-backup offset-rollback snapshot --path "$BACKUPS" --groups orders-streams \
  --bootstrap-servers "$BOOTSTRAP_SERVERS" --description "Half of the orders are read" \
  --format json > "$WORK/snapshot.json"
BEFORE=$(jq -r .snapshot_id "$WORK/snapshot.json")
kafka-backup offset-rollback list --path "$BACKUPS"
kafka-backup offset-rollback show --path "$BACKUPS" --snapshot-id "$BEFORE"
SH

say '4. The same as JSON, for scripts: each position, with its metadata.'
run <<'SH'
kafka-backup offset-rollback show --path "$BACKUPS" --snapshot-id "$BEFORE" \
  --format json > "$WORK/offsets-before.json"
jq . "$WORK/offsets-before.json"
SH
check 'positions in the snapshot that Kafka names too' \
  "$(jq -r '.consumer_groups["orders-streams"].partitions | to_entries[] | "\(.key) \(.value.offset)"' \
    "$WORK/offsets-before.json" | paste -sd, -)" \
  "$(kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe \
    --group orders-streams 2> /dev/null | awk '$2 == "orders" { print $2 "-" $3 " " $4 }' |
    sort | paste -sd, -)"
check 'offsets committed so far' "$(committed orders-streams)" 50

say '5. The group reads the other 50, and a second snapshot is taken.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
  --group orders-streams --max-messages 50 > "$WORK/second-half.txt"
kafka-backup offset-rollback snapshot --path "$BACKUPS" --groups orders-streams \
  --bootstrap-servers "$BOOTSTRAP_SERVERS" --description "All orders are read" \
  --format json > "$WORK/snapshot.json"
AFTER=$(jq -r .snapshot_id "$WORK/snapshot.json")
SH
check 'offsets committed by now' "$(committed orders-streams)" 100

say '6. How the group moved in between.'
run <<'SH'
kafka-backup offset-rollback diff --path "$BACKUPS" "$BEFORE" "$AFTER"
SH
check 'offsets by which it moved' "$(kafka-backup offset-rollback diff --path "$BACKUPS" \
  "$BEFORE" "$AFTER" --format json | jq '[.groups[].partitions[].distance] | add')" 50

say '7. Back to the first snapshot. Another one is taken first, so that this too can be undone.'
run <<'SH'
kafka-backup offset-rollback rollback --path "$BACKUPS" --snapshot-id "$BEFORE" \
  --bootstrap-servers "$BOOTSTRAP_SERVERS"
kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --group orders-streams
SH
check 'offsets committed after the rollback' "$(committed orders-streams)" 50

say '8. The group goes on from there: it reads again what it had read since the snapshot.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders \
  --group orders-streams --max-messages 50 > "$WORK/again.txt"
SH
check_same 'orders read again and orders read since the snapshot' \
  <(sort "$WORK/again.txt") <(sort "$WORK/second-half.txt")
check 'orders read over both halves' \
  "$(sort -u "$WORK/first-half.txt" "$WORK/again.txt" | wc -l | tr -d ' ')" 100

done_with_claims 7
