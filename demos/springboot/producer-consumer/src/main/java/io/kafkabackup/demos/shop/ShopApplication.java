package io.kafkabackup.demos.shop;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/**
 * Two services in one jar, chosen by profile:
 *
 * <pre>
 *   java -jar producer-consumer.jar --spring.profiles.active=producer --orders=good:1-50
 *   java -jar producer-consumer.jar --spring.profiles.active=consumer
 * </pre>
 */
@SpringBootApplication
public class ShopApplication {
  public static void main(String[] args) {
    SpringApplication.run(ShopApplication.class, args);
  }
}
