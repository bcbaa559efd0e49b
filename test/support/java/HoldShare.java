import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Is a live member of a share group (KIP-932) until it is told to end (SIGTERM); then the member
 * leaves. Prints `held` once the group knows it.
 *
 * Arguments: bootstrap servers, topic, group.
 */
public class HoldShare {
  private static final Duration POLL = Duration.ofMillis(100);

  public static void main(String[] args) throws Exception {
    String group = args[2];
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    properties.put("group.id", group);
    properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
    properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
    AtomicBoolean ending = new AtomicBoolean();
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      ending.set(true);
      try {
        main.join();
      } catch (InterruptedException e) {
        // The process ends without having left its group.
      }
    }));
    try (Admin admin = Admin.create(properties);
        KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(properties)) {
      consumer.subscribe(List.of(args[1]));
      for (boolean told = false; !ending.get();) {
        consumer.poll(POLL);
        if (!told && isMember(admin, group)) {
          told = true;
          System.out.println("held");
          System.out.flush();
        }
      }
    }
  }

  /** A share consumer itself does not tell what it is assigned. */
  private static boolean isMember(Admin admin, String group) throws InterruptedException {
    try {
      var described = admin.describeShareGroups(List.of(group)).describedGroups().get(group).get();
      return !described.members().isEmpty();
    } catch (ExecutionException e) {
      return false; // The group is not there yet.
    }
  }
}
