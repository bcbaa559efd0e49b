import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes payments as a service does: many to a record batch, a millisecond apart, beginning now.
 *
 *   java -cp "$KAFKA_CLASSPATH" MakePayments.java BOOTSTRAP TOPIC STATUS:FIRST-LAST...
 *
 * `valid:51-60 CORRUPTED:61-100` puts the last good payments and the first corrupted ones of each
 * partition into one batch.
 */
public class MakePayments {
  public static void main(String[] args) throws Exception {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    try (var producer = new KafkaProducer<String, String>(properties(args[0]))) {
      long time = System.currentTimeMillis();
      for (String range : List.of(args).subList(2, args.length)) {
        String status = range.substring(0, range.indexOf(':'));
        String[] bounds = range.substring(range.indexOf(':') + 1).split("-");
        for (int i = Integer.parseInt(bounds[0]); i <= Integer.parseInt(bounds[1]); i++) {
          String payment = payment(i, status);
          sent.add(producer.send(new ProducerRecord<>(args[1], null, time++, "PAY-" + i, payment)));
        }
      }
      producer.flush();
    }
    for (Future<RecordMetadata> answer : sent) answer.get();
    System.out.println(sent.size() + " payments written");
  }

  private static String payment(int i, String status) {
    int amount = status.equals("valid") ? 100 + i * 37 % 900 : -999;
    return "{\"payment_id\": \"PAY-" + i + "\", \"amount\": " + amount + ", \"status\": \"" + status
        + "\"}";
  }

  private static Properties properties(String bootstrap) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("key.serializer", StringSerializer.class.getName());
    properties.put("value.serializer", StringSerializer.class.getName());
    properties.put("compression.type", "lz4");
    // A batch goes at the flush and not by the clock.
    properties.put("linger.ms", "60000");
    return properties;
  }
}
