/** `--command-config`: the properties of a Kafka client in place of a section's keys for security. */
import { readFile } from "node:fs/promises";
import type { Session } from "#cli/session.ts";
import { BackupError } from "#core/errors.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";

export const commandConfigHelp =
  "properties file of a Kafka client, for TLS and logins: security.protocol, sasl.*, ssl.* (PEM)";
export const sourceCommandConfigHelp = "the same, for the source";

/** A file far larger than any client's properties is another file. */
const propertiesBytesMax = 1024 * 1024;

/**
 * Reads the file and the PEM files that it names. Keys that do nothing here are named once. Throws
 * InvalidRequestError for a file that cannot be read, InvalidConfigError for what it says.
 */
export async function readCommandConfig(
  session: Session,
  fileName: string,
): Promise<Partial<ClusterConfig>> {
  const { readClientProperties } = await import("#core/config/client-properties.ts");
  // java.util.Properties reads bytes as Latin-1.
  const text = await readText(fileName, "latin1", (code) => {
    return new BackupError("InvalidRequestError", `--command-config ${fileName}: ${code}`, {
      hint: "Name the properties file that Kafka's own tools take as --command-config.",
    });
  });
  if (text.length > propertiesBytesMax) {
    throw new BackupError("InvalidRequestError", `--command-config ${fileName}: is too large`);
  }
  const { connection, pemFiles, ignored } = readClientProperties(text, fileName);
  if (ignored.length > 0) {
    session.logger.warn(`${fileName}: these do nothing here: ${ignored.join(", ")}`);
  }
  const pem = (key: string, path: string) =>
    readText(path, "utf8", (code) => {
      const message = `${fileName} ${key}: the file cannot be read: ${code}`;
      return new BackupError("InvalidConfigError", message, {
        hint: "Name a PEM file; a relative path starts at the working directory.",
      });
    });
  const { trustStore, keyStore } = pemFiles;
  const ca = trustStore && (await pem("ssl.truststore.location", trustStore));
  const own = keyStore && (await pem("ssl.keystore.location", keyStore));
  return {
    ...connection,
    ...(ca !== undefined && { ssl_ca: ca }),
    ...(own !== undefined && { ssl_certificate: own, ssl_key: own }),
  };
}

async function readText(
  path: string,
  encoding: "latin1" | "utf8",
  failed: (code: string) => BackupError,
): Promise<string> {
  try {
    return await readFile(path, encoding);
  } catch (cause) {
    throw failed((cause as NodeJS.ErrnoException).code ?? String(cause));
  }
}
