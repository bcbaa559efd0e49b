package io.kafkabackup.demos.shop;

import java.math.BigDecimal;

/** What is in the topic, as JSON. */
public record OrderEvent(String id, BigDecimal amount) {
  boolean isValid() {
    return amount.signum() > 0;
  }
}
