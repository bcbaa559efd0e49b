/** Apache Kafka's jars, resolved by Maven once and kept in the project's cache. */
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheDir, runToEnd, withInstallLock } from "#local/processes.ts";
import { requireJava, requireMaven } from "#local/requirements.mjs";

export const kafkaVersion = "4.2.0";

const pom = `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>kafka</artifactId>
  <version>${kafkaVersion}</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${kafkaVersion}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka-tools</artifactId>
      <version>${kafkaVersion}</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-simple</artifactId>
      <version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
`;

/**
 * Installs what is missing (55 MB, some 20 s the first time) and returns the class path of Kafka's
 * server, tools and client. The folder of jars appears complete or not at all.
 */
export async function installKafka(): Promise<string> {
  await requireJava();
  const home = join(cacheDir(), `kafka-${kafkaVersion}`);
  const lib = join(home, "lib");
  if (!existsSync(lib)) {
    await withInstallLock(`kafka-${kafkaVersion}`, async () => {
      if (!existsSync(lib)) await resolveJars(home, lib);
    });
  }
  return join(lib, "*");
}

async function resolveJars(home: string, lib: string): Promise<void> {
  await requireMaven();
  await mkdir(home, { recursive: true });
  const partial = join(home, "lib.partial");
  await rm(partial, { recursive: true, force: true });
  const pomFile = join(home, "pom.xml");
  await writeFile(pomFile, pom);
  await runToEnd("mvn", [
    "--quiet",
    "--batch-mode",
    `--file=${pomFile}`,
    "dependency:copy-dependencies",
    `-DoutputDirectory=${partial}`,
    "-DincludeScope=runtime",
  ]);
  await rename(partial, lib);
}
