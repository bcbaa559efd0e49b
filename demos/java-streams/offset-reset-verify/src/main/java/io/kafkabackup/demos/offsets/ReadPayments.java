package io.kafkabackup.demos.offsets;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A consumer of the group payments-processor: processes payments from where the group stands, up to
 * MOST of them or to the end of the topic, and commits exactly what it has processed.
 *
 *   java -jar offset-reset-verify.jar BOOTSTRAP MOST FILE
 *
 * FILE gets the payment of each processed record, a line each.
 */
public final class ReadPayments {
  private static final String TOPIC = "payments";
  private static final Duration POLL = Duration.ofMillis(200);

  private ReadPayments() {}

  public static void main(String[] args) throws Exception {
    long most = Long.parseLong(args[1]);
    try (var consumer = new KafkaConsumer<String, String>(properties(args[0]));
        var file = new PrintWriter(Files.newBufferedWriter(Path.of(args[2]), StandardCharsets.UTF_8))) {
      consumer.subscribe(List.of(TOPIC));
      while (consumer.assignment().isEmpty()) consumer.poll(Duration.ZERO);
      // What the first polls may have returned is read again.
      Map<TopicPartition, OffsetAndMetadata> processed = new HashMap<>(standing(consumer));
      processed.forEach(consumer::seek);
      System.out.println("processed " + process(consumer, processed, most, file));
      consumer.commitSync(processed);
    }
  }

  /** Where the group stands in each partition; the beginning where it never was. */
  private static Map<TopicPartition, OffsetAndMetadata> standing(KafkaConsumer<?, ?> consumer) {
    Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
    var committed = consumer.committed(consumer.assignment());
    var beginnings = consumer.beginningOffsets(consumer.assignment());
    for (TopicPartition partition : consumer.assignment()) {
      OffsetAndMetadata known = committed.get(partition);
      positions.put(
          partition, known == null ? new OffsetAndMetadata(beginnings.get(partition)) : known);
    }
    return positions;
  }

  private static long process(
      KafkaConsumer<String, String> consumer,
      Map<TopicPartition, OffsetAndMetadata> processed,
      long most,
      PrintWriter file) {
    var ends = consumer.endOffsets(consumer.assignment());
    long count = 0;
    while (count < most && isBehind(processed, ends)) {
      for (ConsumerRecord<String, String> payment : consumer.poll(POLL)) {
        if (count == most) break;
        System.out.printf(
            "Processed: partition=%d, offset=%d%n", payment.partition(), payment.offset());
        file.println(payment.value());
        processed.put(
            new TopicPartition(TOPIC, payment.partition()),
            new OffsetAndMetadata(payment.offset() + 1));
        count++;
      }
    }
    return count;
  }

  private static boolean isBehind(
      Map<TopicPartition, OffsetAndMetadata> processed, Map<TopicPartition, Long> ends) {
    return ends.entrySet().stream()
        .anyMatch(end -> processed.get(end.getKey()).offset() < end.getValue());
  }

  private static Properties properties(String bootstrap) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("group.id", "payments-processor");
    properties.put("auto.offset.reset", "earliest");
    properties.put("enable.auto.commit", "false");
    properties.put("key.deserializer", StringDeserializer.class.getName());
    properties.put("value.deserializer", StringDeserializer.class.getName());
    return properties;
  }
}
