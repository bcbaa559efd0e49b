import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Traffic of Kafka's own producer, for tests. Topics exist. Each argument after the first is a
 * scenario with its topic:
 *
 *   MakeTraffic BOOTSTRAP SCENARIO:TOPIC...
 *
 * The pseudo-random generator has a fixed seed: the same call makes the same records. Nothing
 * lingers for a time, which a busy machine would stretch: a batch ends when it is full or flushed.
 */
public class MakeTraffic {
  private static final byte[] MARKER_LIKE_KEY = {0, 0, 0, 0};
  private static final byte[] NONE = {};
  /** Longer than any scenario takes. */
  private static final int UNTIL_FULL = 60_000;
  private static String bootstrap;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    for (String argument : List.of(args).subList(1, args.length)) {
      String scenario = argument.substring(0, argument.indexOf(':'));
      String topic = argument.substring(argument.indexOf(':') + 1);
      switch (scenario) {
        case "odd" -> odd(topic);
        case "none", "gzip", "snappy", "lz4", "zstd" -> codec(topic, scenario);
        case "transactions" -> transactions(topic);
        case "compacted" -> compacted(topic);
        case "single" -> single(topic);
        case "times" -> times(topic);
        case "large" -> large(topic);
        case "batches" -> batches(topic);
        default -> throw new IllegalArgumentException("unknown scenario " + scenario);
      }
    }
  }

  private static KafkaProducer<byte[], byte[]> producer(Object... settings) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("key.serializer", ByteArraySerializer.class.getName());
    properties.put("value.serializer", ByteArraySerializer.class.getName());
    properties.put("linger.ms", UNTIL_FULL);
    properties.put("max.request.size", 20_000_000);
    for (int i = 0; i < settings.length; i += 2) properties.put(settings[i], settings[i + 1]);
    return new KafkaProducer<>(properties);
  }

  private static ProducerRecord<byte[], byte[]> record(
      String topic, int partition, Long timestamp, byte[] key, byte[] value) {
    return new ProducerRecord<>(topic, partition, timestamp, key, value);
  }

  private static byte[] utf8(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  /** F1: everything that is easily confused with something else. */
  private static void odd(String topic) throws Exception {
    long now = 1_700_000_000_000L;
    byte[][] keys = {null, NONE, MARKER_LIKE_KEY, utf8("key"), new byte[300]};
    byte[][] values = {null, NONE, utf8("value"), new byte[70_000]};
    long[] times = {now, 0, now + 40_000_000L, now - 400L * 86_400_000L, 1, now + 1};
    try (var producer = producer()) {
      int n = 0;
      for (byte[] key : keys) {
        for (byte[] value : values) {
          var record = record(topic, 0, times[n % times.length], key, value);
          if (n % 2 == 0) {
            record.headers().add("a", utf8("1")).add("b", null).add("a", NONE).add("", utf8("3"));
            record.headers().add(new RecordHeader("a", utf8("1")));
          }
          producer.send(record);
          n++;
        }
      }
      producer.flush();
    }
  }

  /** F7: a few hundred records in batches of one codec, over the partitions 0 and 1. */
  private static void codec(String topic, String codec) throws Exception {
    Random random = new Random(7);
    try (var producer = producer("compression.type", codec, "batch.size", 32_000)) {
      for (int i = 0; i < 1_000; i++) {
        String value = "{\"id\":" + i + ",\"name\":\"customer " + random.nextInt(1_000) + "\"}";
        producer.send(record(topic, i % 2, null, utf8("k" + i), utf8(value.repeat(1 + i % 5))));
      }
    }
  }

  /** F4: committed, aborted and empty transactions of two interleaved producers. */
  private static void transactions(String topic) throws Exception {
    try (var one = producer("transactional.id", topic + "-1", "batch.size", 4_000);
        var two = producer("transactional.id", topic + "-2", "batch.size", 4_000);
        var plain = producer("linger.ms", 0)) {
      one.initTransactions();
      two.initTransactions();
      // It begins with an aborted transaction, and one producer aborts twice within one fetch.
      transaction(one, topic, "aborted", 30, false);
      transaction(one, topic, "aborted again", 30, false);
      transaction(one, topic, "kept", 30, true);
      one.beginTransaction();
      one.abortTransaction();
      one.beginTransaction();
      two.beginTransaction();
      for (int i = 0; i < 200; i++) {
        one.send(record(topic, 0, null, utf8("one"), utf8("interleaved " + i)));
        two.send(record(topic, 0, null, utf8("two"), utf8("interleaved aborted " + i)));
        if (i % 20 == 0) {
          plain.send(record(topic, 0, null, MARKER_LIKE_KEY, utf8("plain " + i))).get();
          one.flush();
          two.flush();
        }
      }
      two.flush();
      two.abortTransaction();
      one.commitTransaction();
      // Larger than one fetch of a megabyte, so that fetches start inside it.
      two.beginTransaction();
      for (int i = 0; i < 3_000; i++) {
        two.send(record(topic, 0, null, MARKER_LIKE_KEY, new byte[1_000]));
      }
      two.flush();
      two.abortTransaction();
      transaction(two, topic, "after", 10, true);
      transaction(one, topic, "aborted at the end", 10, false);
    }
    awaitMarkers(new TopicPartition(topic, 0));
  }

  /** A coordinator answers the end of a transaction before its marker is in the log. */
  private static void awaitMarkers(TopicPartition partition) throws Exception {
    try (var admin = Admin.create(Map.<String, Object>of("bootstrap.servers", bootstrap))) {
      while (end(admin, partition, IsolationLevel.READ_COMMITTED)
          < end(admin, partition, IsolationLevel.READ_UNCOMMITTED)) Thread.sleep(20);
    }
  }

  private static long end(Admin admin, TopicPartition partition, IsolationLevel isolation)
      throws Exception {
    var asked = Map.of(partition, OffsetSpec.latest());
    var answer = admin.listOffsets(asked, new ListOffsetsOptions(isolation));
    return answer.partitionResult(partition).get().offset();
  }

  private static void transaction(
      KafkaProducer<byte[], byte[]> producer, String topic, String text, int count, boolean commit) {
    producer.beginTransaction();
    for (int i = 0; i < count; i++) {
      producer.send(record(topic, 0, null, MARKER_LIKE_KEY, utf8(text + " " + i)));
    }
    // An abort forgets what was not sent yet.
    producer.flush();
    if (commit) producer.commitTransaction();
    else producer.abortTransaction();
  }

  /** F3: few keys, written over and over, some deleted; the broker's cleaner does the rest. */
  private static void compacted(String topic) throws Exception {
    Random random = new Random(11);
    try (var producer = producer("batch.size", 2_000)) {
      for (int i = 0; i < 5_000; i++) {
        byte[] value = i % 50 == 49 ? null : utf8("version " + i + " " + "x".repeat(100));
        producer.send(record(topic, 0, null, utf8("key-" + random.nextInt(200)), value));
        if (i % 500 == 499) producer.flush();
      }
    }
  }

  /** Batches of one record each, of all codecs in turn. */
  private static void single(String topic) throws Exception {
    String[] codecs = {"none", "gzip", "snappy", "lz4", "zstd"};
    List<KafkaProducer<byte[], byte[]>> producers = new ArrayList<>();
    for (String codec : codecs) {
      producers.add(producer("compression.type", codec, "linger.ms", 0, "batch.size", 0));
    }
    for (int i = 0; i < 500; i++) {
      var record = record(topic, 0, 1_700_000_000_000L + i * 7L, utf8("k" + i), utf8("value " + i));
      record.headers().add("n", utf8("" + i));
      producers.get(i % codecs.length).send(record).get();
    }
    producers.forEach(KafkaProducer::close);
  }

  /** R9: timestamps out of order, within batches and over them. */
  private static void times(String topic) throws Exception {
    Random random = new Random(13);
    List<Future<RecordMetadata>> sent = new ArrayList<>();
    try (var producer = producer("batch.size", 16_000, "compression.type", "lz4")) {
      for (int i = 0; i < 4_000; i++) {
        long time = 1_700_000_000_000L + i * 10L + random.nextInt(400) - 200;
        sent.add(producer.send(record(topic, 0, time, utf8("k" + i), utf8("value " + i))));
      }
    }
    for (Future<RecordMetadata> future : sent) future.get();
  }

  /** Records of some megabytes. */
  private static void large(String topic) throws Exception {
    Random random = new Random(17);
    try (var producer = producer("buffer.memory", 64_000_000, "linger.ms", 0)) {
      for (int size : new int[] {1, 5_000_000, 300, 9_000_000, 1_048_000}) {
        byte[] value = new byte[size];
        random.nextBytes(value);
        producer.send(record(topic, 0, null, utf8("size " + size), value)).get();
      }
    }
  }

  /** Many batches of some 8 KB that no codec shrinks, over the partitions 0 and 1. */
  private static void batches(String topic) throws Exception {
    Random random = new Random(19);
    try (var producer = producer("batch.size", 8_000)) {
      for (int i = 0; i < 800; i++) {
        byte[] value = new byte[500];
        random.nextBytes(value);
        producer.send(record(topic, i % 2, 1_700_000_000_000L + i, utf8("k" + i), value));
      }
    }
  }
}
