import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Prints the committed records of a topic from its first to its last, and ends. The console
 * consumer cannot tell where the last one is when transactions wrote the topic: their markers take
 * offsets too.
 *
 *   java -cp "$KAFKA_CLASSPATH" ReadTopic.java BOOTSTRAP TOPIC
 *
 * A line each, divided by tabs: partition, offset, timestamp, key, value.
 */
public class ReadTopic {
  public static void main(String[] args) {
    try (var consumer = new KafkaConsumer<String, String>(properties(args[0]))) {
      List<TopicPartition> partitions = consumer.partitionsFor(args[1]).stream()
          .map(info -> new TopicPartition(args[1], info.partition()))
          .collect(Collectors.toList());
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      var ends = consumer.endOffsets(partitions);
      while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue())) {
        for (ConsumerRecord<String, String> one : consumer.poll(Duration.ofMillis(200))) {
          System.out.printf("%d\t%d\t%d\t%s\t%s%n",
              one.partition(), one.offset(), one.timestamp(), one.key(), one.value());
        }
      }
    }
  }

  private static Properties properties(String bootstrap) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("isolation.level", "read_committed");
    properties.put("enable.auto.commit", "false");
    properties.put("key.deserializer", StringDeserializer.class.getName());
    properties.put("value.deserializer", StringDeserializer.class.getName());
    return properties;
  }
}
