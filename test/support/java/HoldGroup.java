import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Is a live member of consumer groups, with nothing committed, until it is told to end (SIGTERM);
 * then the members leave. Prints `held` once each has its partitions.
 *
 * Arguments: bootstrap servers, topic, then classic:GROUP or consumer:GROUP, each with a
 * client id of that text.
 */
public class HoldGroup {
  private static final Duration POLL = Duration.ofMillis(100);
  private static final AtomicBoolean ending = new AtomicBoolean();

  public static void main(String[] args) throws Exception {
    List<String> members = List.of(args).subList(2, args.length);
    CountDownLatch held = new CountDownLatch(members.size());
    List<Thread> threads = new ArrayList<>();
    for (String member : members) {
      String protocol = member.substring(0, member.indexOf(':'));
      String group = member.substring(member.indexOf(':') + 1);
      Properties properties = new Properties();
      properties.put("bootstrap.servers", args[0]);
      properties.put("group.id", group);
      properties.put("client.id", member);
      properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
      properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
      properties.put("group.protocol", protocol);
      properties.put("enable.auto.commit", "false");
      Thread thread = new Thread(() -> hold(properties, args[1], held));
      thread.start();
      threads.add(thread);
    }
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      ending.set(true);
      for (Thread thread : threads) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          return;
        }
      }
    }));
    held.await();
    System.out.println("held");
    System.out.flush();
  }

  private static void hold(Properties properties, String topic, CountDownLatch held) {
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
      consumer.subscribe(List.of(topic));
      for (boolean counted = false; !ending.get();) {
        consumer.poll(POLL);
        if (!counted && !consumer.assignment().isEmpty()) {
          counted = true;
          held.countDown();
        }
      }
    }
  }
}
