package io.kafkabackup.demos.pitr;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes orders, a millisecond apart, beginning now; each call is a record batch in each partition.
 *
 *   java -cp pitr-restore.jar io.kafkabackup.demos.pitr.MakeOrders BOOTSTRAP KIND:FIRST-LAST...
 *
 * `good` orders have an amount, `faulty` ones have lost it. Every tenth is cancelled.
 */
public final class MakeOrders {
  private MakeOrders() {}

  public static void main(String[] args) throws Exception {
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    try (var producer = new KafkaProducer<String, String>(properties(args[0]))) {
      long time = System.currentTimeMillis();
      for (String range : List.of(args).subList(1, args.length)) {
        boolean isGood = range.startsWith("good:");
        String[] bounds = range.substring(range.indexOf(':') + 1).split("-");
        for (int i = Integer.parseInt(bounds[0]); i <= Integer.parseInt(bounds[1]); i++) {
          String id = String.valueOf(1000 + i);
          sent.add(
              producer.send(new ProducerRecord<>("orders", null, time++, id, order(i, isGood))));
        }
      }
      producer.flush();
    }
    for (Future<RecordMetadata> answer : sent) answer.get();
    System.out.println(sent.size() + " orders written");
  }

  private static String order(int i, boolean isGood) {
    String amount = isGood ? String.format(Locale.ROOT, "%.2f", 5 + i * 7.35) : "NaN";
    String state = i % 10 == 0 ? "cancelled" : "paid";
    return String.format("%d,C%03d,%s,%s", 1000 + i, i % 25, amount, state);
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
