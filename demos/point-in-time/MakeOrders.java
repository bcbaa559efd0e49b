import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A shop's orders of some minutes, written by Kafka's own producer. After one of them a faulty
 * release goes live: its orders have lost their totals.
 *
 *   MakeOrders BOOTSTRAP TOPIC FIRST_MS LAST_GOOD_MS LAST_MS
 *
 * The header `release` tells good orders from faulty ones. LAST_GOOD_MS is the time of the last
 * order before the release; the first faulty one is a millisecond later and in the same batch.
 * Orders of phones that were offline arrive after faulty ones with times from before. Prints the
 * numbers of good and of faulty orders.
 */
public class MakeOrders {
  private static final int PARTITIONS = 3;
  private static final int ORDERS_BEFORE = 12_000;
  private static final int ORDERS_AFTER = 1_500;
  /** On each side of the release, within its batch. */
  private static final int ORDERS_AROUND = 8;
  private static final int LATE_EVERY = 50;
  private static final int CANCELLED_EVERY = 97;
  private static final String GOOD_RELEASE = "2.7.1";
  private static final String FAULTY_RELEASE = "2.8.0";

  private final KafkaProducer<String, String> producer;
  private final String topic;
  private final Random random = new Random(42);
  private final List<Future<RecordMetadata>> sent = new ArrayList<>();
  private int orders;
  private int good;
  private int faulty;

  private MakeOrders(KafkaProducer<String, String> producer, String topic) {
    this.producer = producer;
    this.topic = topic;
  }

  public static void main(String[] args) throws Exception {
    String bootstrap = args[0];
    String topic = args[1];
    long first = Long.parseLong(args[2]);
    long lastGood = Long.parseLong(args[3]);
    long last = Long.parseLong(args[4]);
    try (var admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
      admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 1))).all().get();
    }
    try (var producer = new KafkaProducer<String, String>(properties(bootstrap))) {
      var shop = new MakeOrders(producer, topic);
      shop.before(first, lastGood);
      shop.release(lastGood);
      shop.after(first, lastGood, last);
      System.out.println(shop.good + " " + shop.faulty);
    }
  }

  private static Properties properties(String bootstrap) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("key.serializer", StringSerializer.class.getName());
    properties.put("value.serializer", StringSerializer.class.getName());
    properties.put("acks", "all");
    properties.put("compression.type", "lz4");
    // A batch goes when it is full or at a flush, not by the clock: its borders are known.
    properties.put("linger.ms", "60000");
    return properties;
  }

  private void before(long first, long lastGood) throws Exception {
    for (int i = 0; i < ORDERS_BEFORE; i++) {
      long time = first + (lastGood - ORDERS_AROUND - first) * i / ORDERS_BEFORE;
      send(i % PARTITIONS, time, GOOD_RELEASE);
    }
    flush();
  }

  /** One batch: the last good orders and the first faulty ones, a millisecond apart. */
  private void release(long lastGood) throws Exception {
    for (long ms = -ORDERS_AROUND + 1; ms <= ORDERS_AROUND; ms++) {
      send(0, lastGood + ms, ms <= 0 ? GOOD_RELEASE : FAULTY_RELEASE);
    }
    flush();
  }

  private void after(long first, long lastGood, long last) throws Exception {
    long faultyFrom = lastGood + ORDERS_AROUND + 1;
    for (int i = 1; i <= ORDERS_AFTER; i++) {
      if (i % LATE_EVERY == 0) {
        send(i % PARTITIONS, lastGood - random.nextInt((int) (lastGood - first)), GOOD_RELEASE);
      } else {
        send(i % PARTITIONS, faultyFrom + (last - faultyFrom) * i / ORDERS_AFTER, FAULTY_RELEASE);
      }
    }
    flush();
  }

  private void send(int partition, long time, String release) {
    boolean isGood = release.equals(GOOD_RELEASE);
    String key = "order-" + (100_000 + orders++);
    // A cancelled order is a tombstone.
    boolean isCancelled = isGood && orders % CANCELLED_EVERY == 0;
    String value = isCancelled ? null : order(key, isGood);
    var record = new ProducerRecord<>(topic, partition, time, key, value);
    record.headers().add("release", release.getBytes(StandardCharsets.UTF_8));
    sent.add(producer.send(record));
    if (isGood) good++;
    else faulty++;
  }

  private String order(String key, boolean isGood) {
    String total = isGood ? String.valueOf(500 + random.nextInt(50_000)) : "null";
    return "{\"id\":\"" + key + "\",\"customer\":" + random.nextInt(10_000)
        + ",\"items\":" + (1 + random.nextInt(9)) + ",\"currency\":\"EUR\",\"total_cents\":" + total
        + ",\"ship_to\":\"" + Long.toHexString(random.nextLong()) + "\"}";
  }

  /** Waits for every answer, and fails with the first that is an error. */
  private void flush() throws Exception {
    producer.flush();
    for (Future<RecordMetadata> answer : sent) answer.get();
    sent.clear();
  }
}
