import static org.apache.kafka.streams.CloseOptions.GroupMembershipOperation.LEAVE_GROUP;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.Stores;

/**
 * A Kafka Streams application that counts the records of each key of a topic. It runs until all
 * of the topic is counted and committed, prints `KEY COUNT` for each key, and is shut down.
 *
 *   CountOrders BOOTSTRAP APPLICATION_ID TOPIC STATE_FOLDER
 *
 * The counts are kept in memory and in the changelog topic `APPLICATION_ID-counts-changelog`.
 */
public class CountOrders {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  public static void main(String[] args) throws Exception {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    properties.put("application.id", args[1]);
    properties.put("state.dir", args[3]);
    properties.put("commit.interval.ms", 200);
    properties.put("auto.offset.reset", "earliest");
    properties.put("num.stream.threads", 1);

    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(args[2], Consumed.with(Serdes.String(), Serdes.String()))
        .groupByKey(Grouped.with(Serdes.String(), Serdes.String()))
        .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts"))
            .withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()));

    try (KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        Admin admin = Admin.create(properties)) {
      CountDownLatch failed = new CountDownLatch(1);
      streams.setUncaughtExceptionHandler(error -> {
        error.printStackTrace();
        failed.countDown();
        return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
      });
      streams.start();
      long end = System.nanoTime() + PATIENCE.toNanos();
      while (streams.state() != KafkaStreams.State.RUNNING || !isAllCommitted(admin, args)) {
        if (failed.await(100, TimeUnit.MILLISECONDS)) System.exit(1);
        if (System.nanoTime() > end) throw new IllegalStateException("not done: " + streams.state());
      }
      var type = QueryableStoreTypes.<String, Long>keyValueStore();
      var store = streams.store(StoreQueryParameters.fromNameAndType("counts", type));
      TreeMap<String, Long> counts = new TreeMap<>();
      try (var entries = store.all()) {
        entries.forEachRemaining(entry -> counts.put(entry.key, entry.value));
      }
      counts.forEach((key, count) -> System.out.println(key + " " + count));
      // Else its member stays in the group until the session ends, 45 s.
      streams.close(CloseOptions.timeout(PATIENCE).withGroupMembershipOperation(LEAVE_GROUP));
    }
  }

  private static boolean isAllCommitted(Admin admin, String[] args) throws Exception {
    var committed = admin.listConsumerGroupOffsets(args[1]).partitionsToOffsetAndMetadata().get();
    var topic = admin.describeTopics(List.of(args[2])).allTopicNames().get().get(args[2]);
    for (var info : topic.partitions()) {
      TopicPartition at = new TopicPartition(args[2], info.partition());
      var offsets = admin.listOffsets(Map.of(at, OffsetSpec.latest())).all().get();
      long end = offsets.get(at).offset();
      OffsetAndMetadata found = committed.get(at);
      if (end > 0 && (found == null || found.offset() < end)) return false;
    }
    return true;
  }
}
