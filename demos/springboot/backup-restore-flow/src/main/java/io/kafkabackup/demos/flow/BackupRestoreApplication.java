package io.kafkabackup.demos.flow;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.kafka.annotation.EnableKafkaStreams;

/** Counts the events of each user, as long as it runs: {@link EventCounts} is all it does. */
@SpringBootApplication
@EnableKafkaStreams
public class BackupRestoreApplication {
  public static void main(String[] args) {
    SpringApplication.run(BackupRestoreApplication.class, args);
  }
}
