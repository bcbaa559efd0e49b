/** What `npm run local` and `npm run deploy:localstack` share with docker-compose.yml: `.env`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";

const file = join(import.meta.dirname, "../.env");

export interface LocalSettings {
  readonly topics: readonly string[];
  readonly bucket: string;
  readonly stackName: string;
  readonly region: string;
  /** Of LocalStack, on this machine. */
  readonly localstackPort: number;
}

/** Variables of `env` go before those of the file. Throws an error that names what is missing. */
export function localSettings(
  env: Readonly<Record<string, string | undefined>> = process.env,
): LocalSettings {
  const inFile = parseEnv(readFileSync(file, "utf8"));
  const read = (name: string) => {
    const value = env[name] ?? inFile[name];
    if (value === undefined || value.trim() === "") throw new Error(`${name} is not in ${file}`);
    return value.trim();
  };
  const localstackPort = Number(read("LOCALSTACK_PORT"));
  if (!Number.isInteger(localstackPort)) throw new Error("LOCALSTACK_PORT is not a port");
  return {
    topics: read("DEMO_TOPICS").split(/\s+/),
    bucket: read("BACKUP_BUCKET"),
    stackName: read("STACK_NAME"),
    region: read("AWS_REGION_LOCAL"),
    localstackPort,
  };
}
