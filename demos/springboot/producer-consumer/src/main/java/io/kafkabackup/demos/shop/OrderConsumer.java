package io.kafkabackup.demos.shop;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.annotation.KafkaListener;
import org.springframework.stereotype.Component;

/** Processes orders as they come, and complains about those that cannot be right. */
@Component
@Profile("consumer")
class OrderConsumer {
  private static final Logger log = LoggerFactory.getLogger(OrderConsumer.class);

  @KafkaListener(topics = "orders")
  void consume(OrderEvent order) {
    if (order.isValid()) log.info("Processed order: {}", order.id());
    else log.error("Invalid order: {} {}", order.id(), order.amount());
  }
}
