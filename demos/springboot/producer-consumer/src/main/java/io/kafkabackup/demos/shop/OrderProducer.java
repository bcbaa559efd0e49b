package io.kafkabackup.demos.shop;

import java.math.BigDecimal;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.ApplicationArguments;
import org.springframework.boot.ApplicationRunner;
import org.springframework.context.annotation.Profile;
import org.springframework.kafka.core.KafkaTemplate;
import org.springframework.kafka.support.SendResult;
import org.springframework.stereotype.Component;

/**
 * Writes the orders that it is told to, a millisecond apart, beginning now, and ends; each run is a
 * record batch in each partition. `faulty` orders have a negative amount.
 */
@Component
@Profile("producer")
class OrderProducer implements ApplicationRunner {
  private static final Logger log = LoggerFactory.getLogger(OrderProducer.class);

  private final KafkaTemplate<String, OrderEvent> template;

  OrderProducer(KafkaTemplate<String, OrderEvent> template) {
    this.template = template;
  }

  /** Takes `--orders=good:51-60,faulty:61-100`. */
  @Override
  public void run(ApplicationArguments arguments) {
    List<CompletableFuture<SendResult<String, OrderEvent>>> sent = new ArrayList<>();
    long time = System.currentTimeMillis();
    for (String range : arguments.getOptionValues("orders").get(0).split(",")) {
      boolean isGood = range.startsWith("good:");
      String[] bounds = range.substring(range.indexOf(':') + 1).split("-");
      for (int i = Integer.parseInt(bounds[0]); i <= Integer.parseInt(bounds[1]); i++) {
        OrderEvent order = order(i, isGood);
        sent.add(template.send("orders", null, time++, order.id(), order));
      }
    }
    template.flush();
    CompletableFuture.allOf(sent.toArray(CompletableFuture[]::new)).join();
    log.info("Produced {} orders", sent.size());
  }

  private static OrderEvent order(int i, boolean isGood) {
    BigDecimal amount = BigDecimal.valueOf(500 + i * 735L, 2);
    return new OrderEvent("order-" + i, isGood ? amount : amount.negate());
  }
}
