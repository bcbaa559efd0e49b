import java.io.BufferedWriter;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * What Kafka's own consumer reads of topics with isolation read_committed, byte for byte; the
 * judge of what a restore brought back.
 *
 *   PrintRecords BOOTSTRAP lines|digest TOPIC...
 *
 * `lines`: a line for each record, tab-separated: topic, partition, offset, timestamp, key, value,
 * headers as `key=value` separated by commas. Bytes are LENGTH:HEX, or `null`.
 * `digest`: a line for each partition: topic, partition, records, SHA-256 of its lines without
 * topic, partition and offset.
 */
public class PrintRecords {
  private static final Duration POLL = Duration.ofMillis(200);
  private static final HexFormat HEX = HexFormat.of();

  public static void main(String[] args) throws Exception {
    boolean lines = args[1].equals("lines");
    List<String> topics = List.of(args).subList(2, args.length);
    BufferedWriter out =
        new BufferedWriter(new OutputStreamWriter(System.out, StandardCharsets.UTF_8), 1 << 16);
    try (var consumer = new KafkaConsumer<byte[], byte[]>(properties(args[0]))) {
      for (String topic : topics) {
        for (TopicPartition partition : partitionsOf(consumer, topic)) {
          if (lines) print(consumer, partition, out);
          else digest(consumer, partition, out);
        }
      }
    }
    out.flush();
  }

  private static Properties properties(String bootstrap) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("isolation.level", "read_committed");
    properties.put("enable.auto.commit", "false");
    properties.put("max.poll.records", "5000");
    properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
    properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
    return properties;
  }

  private static List<TopicPartition> partitionsOf(KafkaConsumer<?, ?> consumer, String topic) {
    return consumer.partitionsFor(topic).stream()
        .map(info -> new TopicPartition(topic, info.partition()))
        .sorted((a, b) -> a.partition() - b.partition())
        .collect(Collectors.toList());
  }

  private interface Sink {
    void take(ConsumerRecord<byte[], byte[]> record) throws Exception;
  }

  private static void print(
      KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, BufferedWriter out)
      throws Exception {
    readAll(consumer, partition, record -> {
      out.write(record.topic() + "\t" + record.partition() + "\t" + record.offset() + "\t");
      out.write(contentOf(record));
      out.write('\n');
    });
  }

  private static void digest(
      KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, BufferedWriter out)
      throws Exception {
    MessageDigest digest = MessageDigest.getInstance("SHA-256");
    long[] count = {0};
    readAll(consumer, partition, record -> {
      digest.update((contentOf(record) + "\n").getBytes(StandardCharsets.UTF_8));
      count[0]++;
    });
    String hash = HEX.formatHex(digest.digest());
    out.write(partition.topic() + "\t" + partition.partition() + "\t" + count[0] + "\t" + hash);
    out.write('\n');
  }

  /** Up to the last stable offset, as it is when the partition's turn comes. */
  private static void readAll(
      KafkaConsumer<byte[], byte[]> consumer, TopicPartition partition, Sink sink)
      throws Exception {
    consumer.assign(List.of(partition));
    consumer.seekToBeginning(List.of(partition));
    long end = consumer.endOffsets(List.of(partition)).get(partition);
    while (consumer.position(partition) < end) {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) sink.take(record);
    }
  }

  private static String contentOf(ConsumerRecord<byte[], byte[]> record) {
    StringBuilder headers = new StringBuilder();
    for (Header header : record.headers()) {
      if (headers.length() > 0) headers.append(',');
      headers.append(bytes(header.key().getBytes(StandardCharsets.UTF_8)));
      headers.append('=').append(bytes(header.value()));
    }
    return record.timestamp() + "\t" + bytes(record.key()) + "\t" + bytes(record.value())
        + "\t" + headers;
  }

  private static String bytes(byte[] bytes) {
    return bytes == null ? "null" : bytes.length + ":" + HEX.formatHex(bytes);
  }
}
