#!/usr/bin/env bash
# Two Spring Boot services. A faulty release of the first writes orders with negative amounts; the topic
# goes back to the millisecond before, and the second starts anew on good orders alone.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs java mvn
uses_topics orders orders-everything
uses_groups demo-consumer

start_consumer() {
  run <<'SH'
java -jar "$SHOP" --spring.profiles.active=consumer > "$WORK/consumer.log" 2>&1 &
CONSUMER=$!
SH
}

stop_consumer() {
  run <<'SH'
kill "$CONSUMER"
wait "$CONSUMER" || true
SH
}

# lines TEXT: how often the consumer said so.
lines() {
  grep -c "$1" "$WORK/consumer.log" || true
}

has_seen() {
  kill -0 "$CONSUMER" 2> /dev/null ||
    fail "the consumer ended: $(grep -m 1 -E 'ERROR|Exception' "$WORK/consumer.log")"
  [[ $(lines ' order: ') -ge $1 ]]
}

await_seen() {
  until_true 120 has_seen "$1" || fail "the consumer has not seen $1 orders within 120 s"
  run <<'SH'
grep -c 'Processed order: ' "$WORK/consumer.log"
SH
}

# orders_in TOPIC: timestamp and JSON of each.
orders_in() {
  java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" \
    ../../ReadTopic.java "$BOOTSTRAP_SERVERS" "$1" | cut -f3,5 | sort
}

say '1. Both services are built; the consumer runs as group demo-consumer.'
run <<'SH'
mvn -q -B package
SHOP=../../../.cache/demos/producer-consumer/producer-consumer.jar
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic orders --partitions 3
SH
start_consumer

say '2. Normal traffic: 50 orders.'
run <<'SH'
java -jar "$SHOP" --spring.profiles.active=producer --orders=good:1-50
SH
await_seen 50

say '3. The faulty release: 10 more good orders, and in the same record batches 40 with negative amounts.'
run <<'SH'
java -jar "$SHOP" --spring.profiles.active=producer --orders=good:51-60,faulty:61-100
SH
await_seen 100
check 'orders processed' "$(lines 'Processed order: ')" 60
check 'orders complained about' "$(lines 'Invalid order: ')" 40

say '4. The consumer is stopped, and only now a backup is taken.'
stop_consumer
run <<'SH'
kafka-backup backup --config backup.yaml
SH

say '5. The time to go back to, in milliseconds, out of the records: that of the last good order.'
run <<'SH'
kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic orders --from-beginning \
  --max-messages 100 --formatter-property print.timestamp=true > "$WORK/orders.txt"
LAST_GOOD=$(grep -v '"amount":-' "$WORK/orders.txt" | cut -f1 | cut -d: -f2 | sort -n | tail -n 1)
FIRST_BAD=$(grep '"amount":-' "$WORK/orders.txt" | cut -f1 | cut -d: -f2 | sort -n | head -n 1)
echo "last good order $LAST_GOOD, first faulty one $FIRST_BAD"
SH
check 'milliseconds between them' "$((FIRST_BAD - LAST_GOOD))" 1
across=$(batches_across "$LAST_GOOD" shop orders 3)
check 'there are batches in the backup with records on both sides of that time' \
  "$([[ $across -gt 0 ]] && echo yes || echo no)" yes

say '6. What the backup holds, restored under another name and without a bound.'
run <<'SH'
kafka-backup restore --config restore-everything.yaml
SH
orders_in orders-everything > "$WORK/everything.txt"
check 'faulty orders in the backup' "$(grep -c '"amount":-' "$WORK/everything.txt")" 40

say '7. The topic is deleted, and restored to that millisecond. Its offsets in Kafka went with it: the
   consumer begins anew.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic orders
kafka-backup restore --config restore.yaml --time-window-end "$LAST_GOOD"
SH
orders_in orders > "$WORK/restored.txt"
check_same 'the 60 good orders with their times' "$WORK/restored.txt" \
  <(grep -v '"amount":-' "$WORK/everything.txt")

say '8. The consumer starts again, and 40 orders come in as they should have been.'
start_consumer
await_seen 60
check 'orders processed of those restored' "$(lines 'Processed order: ')" 60
run <<'SH'
java -jar "$SHOP" --spring.profiles.active=producer --orders=good:61-100
SH
await_seen 100
stop_consumer
check 'orders processed, each once' \
  "$(sed -n 's/.*Processed order: //p' "$WORK/consumer.log" | sort | uniq -u | wc -l | tr -d ' ')" 100
check 'orders complained about' "$(lines 'Invalid order: ')" 0

done_with_claims 9
