import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Commits offset 2 of partition 0 for a group, writes one record there in a transaction, and ends
 * without ending the transaction. Prints the producer id and epoch.
 *
 * Arguments: bootstrap servers, topic, group, the record's timestamp.
 */
public class OpenTransaction {
    public static void main(String[] args) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", args[0]);
        TopicPartition partition = new TopicPartition(args[1], 0);
        try (Admin admin = Admin.create(properties)) {
            admin.alterConsumerGroupOffsets(args[2], Map.of(partition, new OffsetAndMetadata(2, "note")))
                .all().get();
            properties.put("transactional.id", args[1]);
            // The broker's own maximum, 15 minutes: it is still open when the tests look.
            properties.put("transaction.timeout.ms", 900_000);
            var producer = new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(args[1], 0, Long.parseLong(args[3]), "key", "value")).get();
            var state = admin.describeProducers(List.of(partition)).partitionResult(partition).get()
                .activeProducers().get(0);
            System.out.println(state.producerId() + " " + state.producerEpoch());
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
    }
}
