package io.kafkabackup.demos.flow;

import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.kafka.config.StreamsBuilderFactoryBeanConfigurer;

/** events, by user, are counted into events_counts: each new count is a record there. */
@Configuration
class EventCounts {
  private static final Logger log = LoggerFactory.getLogger(EventCounts.class);

  @Bean
  KTable<String, Long> countsByUser(StreamsBuilder builder) {
    KTable<String, Long> counts =
        builder.stream("events", Consumed.with(Serdes.String(), Serdes.String()))
            .groupByKey()
            .count(
                Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("events-count-store"))
                    .withKeySerde(Serdes.String())
                    .withValueSerde(Serdes.Long()));
    counts
        .toStream()
        .peek((user, count) -> log.info("{} has {} events", user, count))
        .mapValues(count -> count.toString())
        .to("events_counts", Produced.with(Serdes.String(), Serdes.String()));
    return counts;
  }

  /** Else it counts as a member of its group until its session is over, and delays what follows. */
  @Bean
  StreamsBuilderFactoryBeanConfigurer leaveGroupOnClose() {
    return factory -> factory.setLeaveGroupOnClose(true);
  }
}
