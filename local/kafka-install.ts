/** Apache Kafka's jars, resolved by Maven once and kept in the project's cache. */
import { existsSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { cacheDir, runToEnd, withInstallLock } from "#local/processes.ts";
import { requireJava, requireMaven } from "#local/requirements.mjs";

/** Those that the tests of other servers run; the first one is what all else runs on. */
export const kafkaVersions = ["4.2.0", "3.9.2", "3.7.2"] as const;
export type KafkaVersion = (typeof kafkaVersions)[number];

/** Which one this process starts: LOCAL_KAFKA_VERSION, or the first. */
export const kafkaVersion: KafkaVersion = versionIn(process.env.LOCAL_KAFKA_VERSION);

function versionIn(wanted: string | undefined): KafkaVersion {
  if (wanted === undefined || wanted === "") return kafkaVersions[0];
  const known = kafkaVersions.find((version) => version === wanted);
  if (known !== undefined) return known;
  throw new Error(`LOCAL_KAFKA_VERSION is ${wanted}; known are ${kafkaVersions.join(", ")}`);
}

interface MavenJars {
  /** Of the folder in the cache. */
  readonly name: string;
  readonly version: KafkaVersion;
  /** `group:artifact:version`. */
  readonly artifacts: readonly string[];
  /** False for the artifacts alone, without those that they need. */
  readonly withDependencies: boolean;
}

function kafkaOf(version: KafkaVersion): MavenJars {
  return {
    name: `kafka-${version}`,
    version,
    artifacts: [
      `org.apache.kafka:kafka_2.13:${version}`,
      `org.apache.kafka:kafka-tools:${version}`,
      "org.slf4j:slf4j-simple:1.7.36",
    ],
    withDependencies: true,
  };
}

/** What it needs is Kafka's own, but for RocksDB (70 MB), which stores in memory do without. */
const kafkaStreams: MavenJars = {
  name: `kafka-streams-${kafkaVersion}`,
  version: kafkaVersion,
  artifacts: [`org.apache.kafka:kafka-streams:${kafkaVersion}`],
  withDependencies: false,
};

/**
 * Installs what is missing (55 MB, some 20 s the first time) and returns the class path of Kafka's
 * server, tools and client. The folder of jars appears complete or not at all.
 */
export function installKafka(version = kafkaVersion): Promise<string> {
  return installJars(kafkaOf(version));
}

/** The class path of applications on Kafka Streams, whose stores are in memory. */
export async function installKafkaStreams(): Promise<string> {
  return [await installKafka(), await installJars(kafkaStreams)].join(delimiter);
}

async function installJars(jars: MavenJars): Promise<string> {
  await requireJava();
  const home = join(cacheDir(), jars.name);
  const lib = join(home, "lib");
  if (!existsSync(lib)) {
    await withInstallLock(jars.name, async () => {
      if (!existsSync(lib)) await resolveJars(jars, home, lib);
    });
  }
  return join(lib, "*");
}

async function resolveJars(jars: MavenJars, home: string, lib: string): Promise<void> {
  await requireMaven();
  await mkdir(home, { recursive: true });
  const partial = join(home, "lib.partial");
  await rm(partial, { recursive: true, force: true });
  const pomFile = join(home, "pom.xml");
  await writeFile(pomFile, pomOf(jars));
  await runToEnd("mvn", [
    "--quiet",
    "--batch-mode",
    `--file=${pomFile}`,
    "dependency:copy-dependencies",
    `-DoutputDirectory=${partial}`,
    "-DincludeScope=runtime",
    `-DexcludeTransitive=${!jars.withDependencies}`,
  ]);
  await rename(partial, lib);
}

/** Kafka 3 brings a logger that is silent unless configured, and would win over slf4j-simple. */
function pomOf({ name, version: ofProject, artifacts }: MavenJars): string {
  const dependencies = artifacts.map((artifact) => {
    const [group, id, version] = artifact.split(":");
    return `    <dependency>
      <groupId>${group}</groupId>
      <artifactId>${id}</artifactId>
      <version>${version}</version>
      <exclusions>
        <exclusion><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId></exclusion>
      </exclusions>
    </dependency>
`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId>
  <artifactId>${name}</artifactId>
  <version>${ofProject}</version>
  <dependencies>
${dependencies.join("")}  </dependencies>
</project>
`;
}
