package io.kafkabackup.demos.pitr;

import java.time.Duration;
import java.util.Locale;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.CloseOptions;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Produced;

/**
 * A Kafka Streams application: orders, without those that were cancelled, get their VAT and go to
 * orders_enriched. Runs until it is told to stop (SIGTERM, Ctrl-C).
 *
 *   java -jar pitr-restore.jar BOOTSTRAP STATE_FOLDER
 *
 * An order is `order_id,customer_id,amount,state`.
 */
public final class EnrichOrders {
  /** Also the name of its consumer group. */
  static final String APPLICATION = "orders-streams";

  private static final double VAT = 0.19;

  private EnrichOrders() {}

  public static void main(String[] args) throws InterruptedException {
    KafkaStreams streams = new KafkaStreams(topology(), properties(args[0], args[1]));
    CountDownLatch stopped = new CountDownLatch(1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      // Leaving the group at once: else it counts as a member until its session is over, and
      // offsets of a group with members are not reset.
      streams.close(CloseOptions.groupMembershipOperation(
          CloseOptions.GroupMembershipOperation.LEAVE_GROUP).withTimeout(Duration.ofSeconds(30)));
      stopped.countDown();
    }));
    streams.start();
    stopped.await();
  }

  static Topology topology() {
    StreamsBuilder builder = new StreamsBuilder();
    KStream<String, String> orders =
        builder.stream("orders", Consumed.with(Serdes.String(), Serdes.String()));
    orders
        .filter((id, order) -> !order.endsWith(",cancelled"))
        .mapValues(EnrichOrders::withVat)
        // An enriched order has its order's timestamp, so one point in time cuts both topics alike.
        .to("orders_enriched", Produced.with(Serdes.String(), Serdes.String()));
    return builder.build();
  }

  private static String withVat(String order) {
    double amount = Double.parseDouble(order.split(",")[2]);
    return order + String.format(Locale.ROOT, ",vat=%.2f", amount * VAT);
  }

  private static Properties properties(String bootstrap, String stateFolder) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("application.id", APPLICATION);
    properties.put("state.dir", stateFolder);
    // What is written and how far was read become visible together.
    properties.put("processing.guarantee", "exactly_once_v2");
    properties.put("replication.factor", "1");
    return properties;
  }
}
