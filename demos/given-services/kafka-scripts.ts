/** Prints the folder of Kafka's tools and the class path of its jars; installs what is missing. */
import { installKafka } from "#local/kafka-install.ts";
import { installKafkaScripts } from "#local/kafka-scripts.ts";

process.stdout.write(`${await installKafkaScripts()}\n${await installKafka()}\n`);
