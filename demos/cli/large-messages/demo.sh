#!/usr/bin/env bash
# Records of up to 10 MB: backed up with three codecs side by side, and restored without a byte less.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs jq
uses_topics large_messages large_messages_zstd large_messages_gzip large_messages_lz4

size_in_topic() {
  kafka-configs.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --entity-type topics \
    --entity-name "$1" | sed -n 's/.*[^.]max.message.bytes=\([0-9]*\) .*/\1/p'
}

say '1. Eight orders of 1 to 10 MB: nested JSON, made by a script.'
run <<'SH'
node ../../data/make-large-messages.ts > "$WORK/large-messages.txt"
awk -F'\t' '{ printf "%s  %.1f MB\n", $1, length($2) / 1000000 }' "$WORK/large-messages.txt"
SH

say '2. A topic takes records of up to 1 MB unless it is told otherwise, and so does a producer.'
run <<'SH'
kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --create --topic large_messages \
  --partitions 1 --config max.message.bytes=15728640
KAFKA_HEAP_OPTS=-Xmx1G kafka-console-producer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" \
  --topic large_messages --reader-property parse.key=true \
  --command-property max.request.size=15728640 --max-memory-bytes 67108864 \
  --request-timeout-ms 60000 < "$WORK/large-messages.txt"
SH
check 'records in Kafka' "$(count_records large_messages)" 8

say '3. The same topic, backed up with zstd, gzip and lz4.'
run <<'SH'
for CODEC in zstd gzip lz4; do
  export CODEC
  kafka-backup backup --config backup.yaml
done
kafka-backup list --path "$BACKUPS"
SH

# size CODEC FIELD: original_bytes or stored_bytes of that backup.
size() {
  kafka-backup describe --path "$BACKUPS" --backup-id "large-$1" --format json | jq ".totals.$2"
}

originals=$(for codec in zstd gzip lz4; do size "$codec" original_bytes; done | sort -u)
check 'different sizes before compression' "$(wc -l <<< "$originals" | tr -d ' ')" 1
smaller=0
printf '    %-6s %12s\n' codec bytes none "$originals"
for codec in zstd gzip lz4; do
  stored=$(size "$codec" stored_bytes)
  printf '    %-6s %12s  %d %%\n' "$codec" "$stored" $((stored * 100 / originals))
  if ((stored * 2 < originals)); then smaller=$((smaller + 1)); fi
done
check 'codecs that store it in less than half' "$smaller" 3

say '4. Each backup is restored under a name of its own.'
run <<'SH'
for CODEC in zstd gzip lz4; do
  export CODEC
  kafka-backup restore --config restore.yaml
done
SH

say '5. Nothing is cut off: keys and values are what went in.'
run <<'SH'
for CODEC in zstd gzip lz4; do
  kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "large_messages_$CODEC" \
    --from-beginning --max-messages 8 --formatter-property print.key=true > "$WORK/from-$CODEC.txt"
done
cksum "$WORK/large-messages.txt" "$WORK"/from-*.txt
SH
for codec in zstd gzip lz4; do
  check "max.message.bytes of large_messages_$codec" "$(size_in_topic "large_messages_$codec")" 15728640
  check_same "8 records out of the backup with $codec" \
    "$WORK/from-$codec.txt" "$WORK/large-messages.txt"
done

done_with_claims 9
