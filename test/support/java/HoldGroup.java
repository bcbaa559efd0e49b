import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Is a live member of consumer groups, with nothing committed, until it is told to end (SIGTERM);
 * then the members leave. Prints `held` once each has its partitions.
 *
 * Arguments: bootstrap servers, topic, then classic:GROUP, consumer:GROUP or share:GROUP, each
 * with a client id of that text.
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
      if (!protocol.equals("share")) {
        properties.put("group.protocol", protocol);
        properties.put("enable.auto.commit", "false");
      }
      Runnable hold = () -> {
        if (protocol.equals("share")) share(properties, args[1], held);
        else hold(properties, args[1], held);
      };
      Thread thread = new Thread(hold);
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

  /** A share consumer itself does not tell what it is assigned. */
  private static boolean isMember(Admin admin, String group) {
    try {
      var described = admin.describeShareGroups(List.of(group)).describedGroups().get(group).get();
      return !described.members().isEmpty();
    } catch (ExecutionException e) {
      return false; // The group is not there yet.
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void share(Properties properties, String topic, CountDownLatch held) {
    String group = properties.getProperty("group.id");
    try (Admin admin = Admin.create(properties);
        KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(properties)) {
      consumer.subscribe(List.of(topic));
      for (boolean counted = false; !ending.get();) {
        consumer.poll(POLL);
        if (!counted && isMember(admin, group)) {
          counted = true;
          held.countDown();
        }
      }
    }
  }
}
