#!/usr/bin/env bash
# A consumer group is put back by exactly 20 records, in a topic that was lost and restored in between.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs java mvn jq
uses_topics payments
uses_groups payments-processor

say '1. The consumer is built, and 100 payments are written, keyed by order.'
run <<'SH'
mvn -q -B package
CONSUMER=../../../.cache/demos/offset-reset-verify/offset-reset-verify.jar
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic payments --partitions 3
awk -F, 'NR > 1 { printf "%s\tpayment of order %s, %s\n", $1, $1, $3 }' ../../data/orders.csv |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic payments \
    --reader-property parse.key=true
SH

say '2. It processes 80 of them: all but the last 20.'
run <<'SH'
java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -jar "$CONSUMER" \
  "$BOOTSTRAP_SERVERS" 80 "$WORK/first.txt" | tail -n 4
SH
check 'payments processed' "$(wc -l < "$WORK/first.txt" | tr -d ' ')" 80
check 'offsets committed' "$(committed payments-processor)" 80

say '3. Where it stands now is the place to come back to.'
run <<'SH'
kafka-backup offset-rollback snapshot --path "$BACKUPS" --groups payments-processor \
  --bootstrap-servers "$BOOTSTRAP_SERVERS" --description "20 payments before the end" \
  --format json > "$WORK/snapshot.json"
SNAPSHOT_ID=$(jq -r .snapshot_id "$WORK/snapshot.json")
SH

say '4. It processes the last 20.'
run <<'SH'
java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -jar "$CONSUMER" \
  "$BOOTSTRAP_SERVERS" 100 "$WORK/last.txt" | tail -n 4
SH
check 'payments processed' "$(wc -l < "$WORK/last.txt" | tr -d ' ')" 20
check 'offsets committed' "$(committed payments-processor)" 100

say '5. The topic is backed up, lost, and restored. Its offsets in Kafka went with it.'
run <<'SH'
kafka-backup backup --config backup.yaml
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic payments
kafka-backup restore --config restore.yaml
SH
check 'records restored' "$(count_records payments)" 100

say '6. The group is put to the snapshot, in terms of the restored records.'
run <<'SH'
kafka-backup offset-reset execute --path "$BACKUPS" --backup-id offset-reset-verify \
  --groups payments-processor --offset-source "snapshot:$SNAPSHOT_ID" \
  --bootstrap-servers "$BOOTSTRAP_SERVERS"
SH
check 'offsets committed' "$(committed payments-processor)" 80

say '7. The consumer is allowed 100 more, and finds exactly the last 20.'
run <<'SH'
java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -jar "$CONSUMER" \
  "$BOOTSTRAP_SERVERS" 100 "$WORK/again.txt" | tail -n 4
SH
check 'payments processed again' "$(wc -l < "$WORK/again.txt" | tr -d ' ')" 20
check_same 'payments processed again and the last 20' \
  <(sort "$WORK/again.txt") <(sort "$WORK/last.txt")
check 'payments processed in all' "$(sort -u "$WORK/first.txt" "$WORK/again.txt" | wc -l | tr -d ' ')" 100

done_with_claims 9
