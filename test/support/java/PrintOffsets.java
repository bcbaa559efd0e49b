import java.nio.charset.StandardCharsets;
import java.io.PrintStream;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/**
 * Prints what a group has committed, as Kafka's own client sees it, a line for each partition:
 * topic-partition, offset, leader epoch or `-`, metadata in brackets.
 *
 * Arguments: bootstrap servers, group.
 */
public class PrintOffsets {
  public static void main(String[] args) throws Exception {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    try (Admin admin = Admin.create(properties)) {
      Map<String, OffsetAndMetadata> sorted = new TreeMap<>();
      Map<TopicPartition, OffsetAndMetadata> committed =
          admin.listConsumerGroupOffsets(args[1]).partitionsToOffsetAndMetadata().get();
      committed.forEach((partition, offset) -> sorted.put(partition.toString(), offset));
      sorted.forEach((partition, offset) -> out.println(partition + " " + offset.offset() + " "
          + offset.leaderEpoch().map(String::valueOf).orElse("-") + " [" + offset.metadata() + "]"));
    }
  }
}
