#!/usr/bin/env bash
# A Kafka Streams application has processed faulty orders. Input and output go back to the millisecond
# before them, and the application goes on from there, each good order processed once.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs java mvn
uses_topics orders orders_enriched orders-everything orders_enriched-everything
uses_groups orders-streams

# values_in TOPIC: what a consumer of committed records reads of a topic, up to its end.
values_in() {
  java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" \
    ../../ReadTopic.java "$BOOTSTRAP_SERVERS" "$1" | cut -f5 | sort
}

start_application() {
  run <<'SH'
java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -jar "$BUILD/pitr-restore.jar" \
  "$BOOTSTRAP_SERVERS" "$WORK/state" 2>> "$WORK/application.log" &
APPLICATION=$!
SH
}

stop_application() {
  run <<'SH'
kill "$APPLICATION"
wait "$APPLICATION" || true
SH
}

# has_read COUNT: whether the application has committed so many of the orders.
has_read() {
  kill -0 "$APPLICATION" 2> /dev/null ||
    fail "the application ended: $(tail -n 3 "$WORK/application.log")"
  [[ $(committed orders-streams) == "$1" ]]
}

await_read() {
  until_true 120 has_read "$1" || fail "the application has not read $1 orders within 120 s"
  run <<'SH'
kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --group orders-streams
SH
  check 'orders that the application has read' "$(committed orders-streams)" "$1"
}

say '1. The application is built: orders, without cancelled ones, get their VAT and go to orders_enriched.'
run <<'SH'
mvn -q -B package
BUILD=../../../.cache/demos/pitr-restore
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic orders --partitions 3
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic orders_enriched --partitions 3
SH

say '2. It runs, and 50 orders come in, of which 5 are cancelled.'
start_application
run <<'SH'
java -cp "$BUILD/pitr-restore.jar" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
  io.kafkabackup.demos.pitr.MakeOrders "$BOOTSTRAP_SERVERS" good:1-50
SH
await_read 50

say '3. A faulty release: 10 more good orders, and in the same record batches 40 that lost their amount.
   The application makes VAT of them: NaN.'
run <<'SH'
java -cp "$BUILD/pitr-restore.jar" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
  io.kafkabackup.demos.pitr.MakeOrders "$BOOTSTRAP_SERVERS" good:51-60 faulty:61-100
SH
await_read 100

say '4. The application is stopped, and only now a backup is taken.'
stop_application
run <<'SH'
kafka-backup backup --config backup.yaml
SH

say '5. The time to go back to, in milliseconds, out of the records: that of the last good order.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders --from-beginning \
  --max-messages 100 --formatter-property print.timestamp=true > "$WORK/orders.txt"
LAST_GOOD=$(grep -v NaN "$WORK/orders.txt" | cut -f1 | cut -d: -f2 | sort -n | tail -n 1)
FIRST_BAD=$(grep NaN "$WORK/orders.txt" | cut -f1 | cut -d: -f2 | sort -n | head -n 1)
echo "last good order $LAST_GOOD, first faulty one $FIRST_BAD"
SH
check 'milliseconds between them' "$((FIRST_BAD - LAST_GOOD))" 1
across=$(batches_across "$LAST_GOOD" streams-pitr orders 3)
check 'there are batches in the backup with records on both sides of that time' \
  "$([[ $across -gt 0 ]] && echo yes || echo no)" yes

say '6. What the backup holds, restored under other names and without a bound.'
run <<'SH'
kafka-backup restore --config restore-everything.yaml
SH
check 'faulty orders in the backup' "$(values_in orders-everything | grep -c NaN)" 40
values_in orders_enriched-everything > "$WORK/all-enriched.txt"
check 'enriched faulty orders in the backup' "$(grep -c NaN "$WORK/all-enriched.txt")" 36

say '7. Both topics are deleted; three-phase-restore brings them back up to that time, and the group.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic orders
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic orders_enriched
kafka-backup three-phase-restore --config restore.yaml --time-window-end "$LAST_GOOD"
SH
values_in orders > "$WORK/restored.txt"
values_in orders_enriched > "$WORK/restored-enriched.txt"
check_same 'the 60 good orders' "$WORK/restored.txt" \
  <(grep -v NaN "$WORK/orders.txt" | cut -f2 | sort)
check_same 'what the application had made of them' "$WORK/restored-enriched.txt" \
  <(grep -v NaN "$WORK/all-enriched.txt")
check 'that is, enriched orders' "$(wc -l < "$WORK/restored-enriched.txt" | tr -d ' ')" 54
check 'faulty ones among both' \
  "$(cat "$WORK/restored.txt" "$WORK/restored-enriched.txt" | grep -c NaN || true)" 0
check 'orders that the application has read, by its group' "$(committed orders-streams)" 60

say '8. The application starts again, and the 40 orders come in once more, as they should have been.'
start_application
run <<'SH'
java -cp "$BUILD/pitr-restore.jar" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
  io.kafkabackup.demos.pitr.MakeOrders "$BOOTSTRAP_SERVERS" good:61-100
SH
await_read 100
stop_application
values_in orders_enriched > "$WORK/enriched.txt"
check 'orders enriched, each once' \
  "$(cut -d, -f1 "$WORK/enriched.txt" | sort | uniq -u | wc -l | tr -d ' ')" 90
check 'enriched orders in all' "$(wc -l < "$WORK/enriched.txt" | tr -d ' ')" 90
check 'faulty ones among them' "$(grep -c NaN "$WORK/enriched.txt" || true)" 0

done_with_claims 15
