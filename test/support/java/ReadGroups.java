import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Applications that read topics as members of consumer groups, commit and leave.
 *
 *   ReadGroups BOOTSTRAP earliest|none TOPIC,TOPIC... classic:GROUP=COUNT|consumer:GROUP=COUNT...
 *
 * Each group has one member, of the classic protocol or of KIP-848. It reads at most COUNT records of each partition, or with `end` all
 * that there are, under read_committed, and commits what is behind the last one, with the group's
 * name as metadata. With `none` a partition without a committed offset is an error. Prints a line
 * for each record, in the order of groups: group, topic, partition, offset, value, tab-separated.
 */
public class ReadGroups {
  private static final Duration POLL = Duration.ofMillis(100);
  private static final int CONCURRENT_GROUPS = 26;

  public static void main(String[] args) throws Exception {
    List<String> topics = List.of(args[2].split(","));
    ExecutorService threads = Executors.newFixedThreadPool(CONCURRENT_GROUPS);
    List<Future<String>> lines = new ArrayList<>();
    for (String argument : List.of(args).subList(3, args.length)) {
      String protocol = argument.substring(0, argument.indexOf(':'));
      int at = argument.lastIndexOf('=');
      String group = argument.substring(protocol.length() + 1, at);
      String count = argument.substring(at + 1);
      long limit = count.equals("end") ? Long.MAX_VALUE : Long.parseLong(count);
      Callable<String> read = () -> read(properties(args, protocol, group), group, topics, limit);
      lines.add(threads.submit(read));
    }
    threads.shutdown();
    for (Future<String> each : lines) System.out.print(each.get());
    System.out.flush();
  }

  private static Properties properties(String[] args, String protocol, String group) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    properties.put("group.protocol", protocol);
    properties.put("auto.offset.reset", args[1]);
    properties.put("group.id", group);
    properties.put("isolation.level", "read_committed");
    properties.put("enable.auto.commit", "false");
    properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
    properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
    return properties;
  }

  private static String read(Properties properties, String group, List<String> topics, long limit) {
    StringBuilder lines = new StringBuilder();
    try (var consumer = new KafkaConsumer<byte[], byte[]>(properties)) {
      List<TopicPartition> partitions = new ArrayList<>();
      for (String topic : topics) {
        consumer.partitionsFor(topic).forEach(
            info -> partitions.add(new TopicPartition(topic, info.partition())));
      }
      Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
      Map<TopicPartition, Long> counts = new HashMap<>();
      Map<TopicPartition, Long> next = new HashMap<>();
      consumer.subscribe(topics);
      while (!isDone(consumer, partitions, ends, next)) {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
          TopicPartition at = new TopicPartition(record.topic(), record.partition());
          long count = counts.merge(at, 1L, Long::sum);
          if (count > limit) continue;
          lines.append(lineOf(group, record));
          if (count < limit) continue;
          next.put(at, record.offset() + 1);
          consumer.pause(List.of(at));
        }
      }
      Map<TopicPartition, OffsetAndMetadata> commits = new HashMap<>();
      for (TopicPartition at : partitions) {
        long offset = next.containsKey(at) ? next.get(at) : consumer.position(at);
        commits.put(at, new OffsetAndMetadata(offset, group));
      }
      consumer.commitSync(commits);
    }
    return lines.toString();
  }

  /** Whether each partition is this member's, and read to its limit or its end. */
  private static boolean isDone(
      KafkaConsumer<?, ?> consumer,
      List<TopicPartition> partitions,
      Map<TopicPartition, Long> ends,
      Map<TopicPartition, Long> next) {
    if (!consumer.assignment().containsAll(partitions)) return false;
    for (TopicPartition at : partitions) {
      if (!next.containsKey(at) && consumer.position(at) < ends.get(at)) return false;
    }
    return true;
  }

  private static String lineOf(String group, ConsumerRecord<byte[], byte[]> record) {
    String value =
        record.value() == null ? "null" : new String(record.value(), StandardCharsets.UTF_8);
    String at = record.topic() + "\t" + record.partition() + "\t" + record.offset();
    return group + "\t" + at + "\t" + value + "\n";
  }
}
