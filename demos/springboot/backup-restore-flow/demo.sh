#!/usr/bin/env bash
# A Spring Boot application counts events with Kafka Streams. All of its topics are lost; the events are
# restored, and it comes to the same counts again.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs java mvn
uses_topics events events_counts events-aggregator-events-count-store-changelog
uses_groups events-aggregator

start_application() {
  run <<'SH'
java -jar "$APPLICATION_JAR" >> "$WORK/application.log" 2>&1 &
APPLICATION=$!
SH
}

stop_application() {
  run <<'SH'
kill "$APPLICATION"
wait "$APPLICATION" || true
SH
}

has_counted() {
  kill -0 "$APPLICATION" 2> /dev/null ||
    fail "the application ended: $(grep -m 1 -E 'ERROR|Exception' "$WORK/application.log")"
  [[ $(committed events-aggregator) == "$1" ]]
}

await_counted() {
  until_true 120 has_counted "$1" || fail "the application has not counted $1 events within 120 s"
  run <<'SH'
kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --group events-aggregator
SH
  check 'events counted' "$(committed events-aggregator)" "$1"
}

# The newest count of each user, by a consumer of committed records.
counts() {
  java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$KAFKA_CLASSPATH" \
    ../../ReadTopic.java "$BOOTSTRAP_SERVERS" events_counts |
    awk -F'\t' '{ count[$4] = $5 } END { for (user in count) print user, count[user] }' | sort
}

say '1. The application is built; it counts the events of each user into events_counts.'
run <<'SH'
mvn -q -B package
APPLICATION_JAR=../../../.cache/demos/backup-restore-flow/backup-restore-flow.jar
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic events --partitions 3
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic events_counts --partitions 3
SH

say '2. 100 events of 25 users: the orders of a shop, keyed by customer.'
start_application
run <<'SH'
awk -F, 'NR > 1 { printf "%s\tordered %s\n", $2, $1 }' ../../data/orders.csv |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic events \
    --reader-property parse.key=true
SH
await_counted 100
counts > "$WORK/counts-before.txt"
run <<'SH'
grep 'has .* events' "$WORK/application.log" | tail -n 3 | sed 's/.* : //'
SH
check_same 'its counts and those of the file' "$WORK/counts-before.txt" \
  <(awk -F, 'NR > 1 { n[$2]++ } END { for (user in n) print user, n[user] }' ../../data/orders.csv | sort)

say '3. The events are backed up. What the application makes of them is not: it makes it again.'
run <<'SH'
kafka-backup backup --config backup.yaml
SH
stop_application

say '4. The accident: events, counts, the store of the application, its group; all are gone.'
run <<'SH'
for TOPIC in events events_counts events-aggregator-events-count-store-changelog; do
  kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic "$TOPIC"
done
kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --group events-aggregator
rm -rf "$WORK/state"
SH
check 'topics of the application' "$(kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --list |
  grep -c '^events' || true)" 0

say '5. The events are restored.'
run <<'SH'
kafka-backup restore --config restore.yaml
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic events_counts --partitions 3
SH
check 'events restored' "$(count_records events)" 100

say '6. The application starts from nothing and counts all of them again.'
start_application
await_counted 100
counts > "$WORK/counts-after.txt"
check_same 'counts before the accident and after it' \
  "$WORK/counts-before.txt" "$WORK/counts-after.txt"

say '7. And it goes on: one more event of each user.'
run <<'SH'
awk '{ printf "%s\tordered once more\n", $1 }' "$WORK/counts-after.txt" |
  kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic events \
    --reader-property parse.key=true
SH
users=$(wc -l < "$WORK/counts-after.txt" | tr -d ' ')
await_counted $((100 + users))
check_same 'each count, one higher' <(counts) <(awk '{ print $1, $2 + 1 }' "$WORK/counts-after.txt")

done_with_claims 8
