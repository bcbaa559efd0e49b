/** docker-compose.yml as `docker compose config` would show it, its variables from `.env`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { parse } from "yaml";

const root = join(import.meta.dirname, "../..");

export interface ComposeService {
  readonly image?: string;
  readonly build?: string;
  readonly profiles?: readonly string[];
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly entrypoint?: readonly string[];
  readonly command?: string | readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, { condition: string }>>;
  readonly healthcheck?: object;
}

export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks: Readonly<Record<string, { readonly name: string }>>;
}

/** Throws where a variable is neither in `.env` nor meant for the container's shell (`$$`). */
export function composeFile(): ComposeFile {
  const variables = parseEnv(readFileSync(join(root, ".env"), "utf8"));
  const text = readFileSync(join(root, "docker-compose.yml"), "utf8");
  const replaced = text.replaceAll(/\$\$|\$\{(\w+)\}|\$/g, (found, name: string | undefined) => {
    if (found === "$$") return "$";
    const value = name === undefined ? undefined : variables[name];
    if (value === undefined) throw new Error(`${found} is not in .env`);
    return value;
  });
  return parse(replaced);
}
