import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;

/**
 * A Kafka Streams application whose group is of the Streams protocol (KIP-1071), until it is told
 * to end (SIGTERM). Prints `held` once it has its partitions.
 *
 * Arguments: bootstrap servers, topic, group, state folder.
 */
public class HoldStreams {
  public static void main(String[] args) throws Exception {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    properties.put("application.id", args[2]);
    properties.put("state.dir", args[3]);
    properties.put("group.protocol", "streams");
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(args[1], Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
        .foreach((key, value) -> { });
    KafkaStreams streams = new KafkaStreams(builder.build(), properties);
    Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
    streams.start();
    while (streams.state() != KafkaStreams.State.RUNNING) Thread.sleep(50);
    System.out.println("held");
    System.out.flush();
  }
}
