"""Writes orders with confluent-kafka, has them backed up and restored, and compares what it reads.

Takes BOOTSTRAP_SERVERS from the environment, and kafka-backup from the PATH. Ends with 0 when every
record is the same after the restore as before: key, value, headers, timestamp, partition, order.
"""

import json
import os
import subprocess
import sys
import time
import uuid

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP_SERVERS = os.environ["BOOTSTRAP_SERVERS"]
TOPIC = "orders"
PARTITIONS = 3
ORDERS = 100
TIMEOUT_S = 60


def create_topic(admin):
    admin.create_topics([NewTopic(TOPIC, num_partitions=PARTITIONS)])[TOPIC].result(TIMEOUT_S)


def delete_topic(admin):
    """Returns when no broker lists it any more."""
    admin.delete_topics([TOPIC])[TOPIC].result(TIMEOUT_S)
    deadline = time.monotonic() + TIMEOUT_S
    while TOPIC in admin.list_topics(timeout=TIMEOUT_S).topics:
        if time.monotonic() > deadline:
            sys.exit(f"topic {TOPIC} is still there after {TIMEOUT_S} s")
        time.sleep(0.2)


def produce():
    """100 orders as JSON with a header each; then a tombstone and an empty value."""
    producer = Producer({"bootstrap.servers": BOOTSTRAP_SERVERS, "compression.type": "zstd"})
    failures = []

    def delivered(error, _message):
        if error is not None:
            failures.append(error)

    for i in range(ORDERS):
        order = {"id": i, "value": f"message-{i}", "amount": round(5 + i * 7.35, 2)}
        producer.produce(
            TOPIC,
            key=f"order-{i}",
            value=json.dumps(order),
            headers=[("source", b"python"), ("attempt", str(i % 3).encode())],
            on_delivery=delivered,
        )
    producer.produce(TOPIC, key="order-0", value=None, on_delivery=delivered)
    producer.produce(TOPIC, key="order-1", value=b"", on_delivery=delivered)
    if producer.flush(TIMEOUT_S) > 0 or failures:
        sys.exit(f"not all orders were written: {failures}")
    return ORDERS + 2


def consume():
    """All committed records of the topic, in the order of partitions and offsets."""
    consumer = Consumer(
        {
            "bootstrap.servers": BOOTSTRAP_SERVERS,
            # Needed by the client; without a commit there will be no such group.
            "group.id": f"python-verify-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "isolation.level": "read_committed",
        }
    )
    try:
        records = []
        for partition in range(PARTITIONS):
            records.extend(consume_partition(consumer, partition))
        return records
    finally:
        consumer.close()


def consume_partition(consumer, partition):
    start, end = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=TIMEOUT_S)
    consumer.assign([TopicPartition(TOPIC, partition, start)])
    records = []
    position = start
    deadline = time.monotonic() + TIMEOUT_S
    while position < end:
        if time.monotonic() > deadline:
            sys.exit(f"partition {partition} was not read within {TIMEOUT_S} s")
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error():
            raise KafkaException(message.error())
        records.append(
            (
                partition,
                message.timestamp(),
                message.key(),
                message.value(),
                message.headers(),
            )
        )
        position = message.offset() + 1
    return records


def kafka_backup(*arguments):
    print("  $ kafka-backup", *arguments, flush=True)
    code = subprocess.run(["kafka-backup", *arguments], check=False).returncode
    if code != 0:
        sys.exit(f"kafka-backup {arguments[0]} ended with exit code {code}")


def check(what, found, wanted):
    print(f"    {'yes' if found == wanted else ' NO'}  {what}: {found}", flush=True)
    if found != wanted:
        sys.exit(f"{what}: {found}, and not {wanted}")


def main():
    admin = AdminClient({"bootstrap.servers": BOOTSTRAP_SERVERS})
    create_topic(admin)
    written = produce()
    before = consume()
    check("records written and read", len(before), written)

    kafka_backup("backup", "--config", "backup.yaml")
    delete_topic(admin)
    kafka_backup("restore", "--config", "restore.yaml")

    after = consume()
    check("records read after the restore", len(after), written)
    for old, new in zip(before, after):
        if old != new:
            sys.exit(f"a record is not what it was:\n  before {old}\n  after  {new}")
    orders = [json.loads(value) for *_, value, _headers in after if value]
    check("orders whose JSON reads as it did", len(orders), ORDERS)
    check("tombstones", sum(value is None for *_, value, _headers in after), 1)
    check("empty values", sum(value == b"" for *_, value, _headers in after), 1)
    check("records with other keys, headers or times", sum(a != b for a, b in zip(before, after)), 0)


if __name__ == "__main__":
    main()
