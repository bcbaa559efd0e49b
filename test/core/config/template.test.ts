// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
import { expect, test } from "vitest";
import { configSection, storageSections } from "#core/config/reference.ts";
import { configTemplate } from "#core/config/template.ts";
import { parse } from "#test/core/config/configuration.ts";

const modes = ["backup", "restore"] as const;

test.each(modes)("a new %s file is right as it stands", (mode) => {
  const config = parse(configTemplate(mode));
  expect(config).toMatchObject({ mode, storage: { backend: "filesystem", path: "./backups" } });
});

test.each(modes)("a new %s file takes its place and brokers from variables", (mode) => {
  const env = { BACKUP_PATH: "/b", KAFKA_BOOTSTRAP_SERVERS: "a:1,b:2" };
  const config = parse(configTemplate(mode), { env });
  expect(config.storage).toEqual({ backend: "filesystem", path: "/b" });
  const cluster = config.mode === "backup" ? config.source : config.target;
  expect(cluster.bootstrap_servers).toEqual(["a:1", "b:2"]);
});

/**
 * Blocks are divided by empty lines; one of the two for storage stays. A region and tokens are for
 * logins without user and password.
 */
function withEverythingInUse(text: string, backend: string): string {
  const blocks = text.split("\n\n").map((block) => block.replaceAll(/^#(?= {2}|\w)/gm, ""));
  const isOther = (block: string) => /^storage:/m.test(block) && !block.includes(backend);
  const used = blocks.filter((block) => !isOther(block)).join("\n\n");
  return used.replaceAll(/^ +(aws_region|sasl_oauthbearer_\w+):.*\n( {4,}\w.*\n)*/gm, "");
}

const variants = modes.flatMap((mode) => [[mode, "filesystem"] as const, [mode, "s3"] as const]);

test.each(variants)("a new %s file is right with all its keys in use, on %s", (mode, backend) => {
  const secrets = Object.fromEntries(
    ["S3", "DYNAMODB"].flatMap((service) => [
      [`${service}_ACCESS_KEY_ID`, "a"],
      [`${service}_SECRET_ACCESS_KEY`, "s"],
      [`${service}_SESSION_TOKEN`, "t"],
    ]),
  );
  const text = withEverythingInUse(configTemplate(mode), `backend: ${backend}`);
  const config = parse(text, { env: { ...secrets, KAFKA_PASSWORD: "p", KAFKA_KEY_PASSWORD: "k" } });
  expect(config.storage.backend).toBe(backend);
  const cluster = config.mode === "backup" ? config.source : config.target;
  expect(cluster).toMatchObject({ sasl_password: "p", security_protocol: "SASL_SSL" });
  expect(text).not.toMatch(/^#\S/m);
});

test.each(modes)(
  "a new %s file names every key of the reference, but for rare storages",
  (mode) => {
    const text = configTemplate(mode);
    const { sections, keys } = configSection(mode);
    // Others are shown by the storage guide.
    const storages = storageSections().filter(({ keys }) =>
      ["filesystem", "s3"].includes(keys[0]!.kind),
    );
    const names = [{ keys }, ...sections, ...storages]
      .flatMap(({ keys }) => keys.map(({ name }) => name))
      .filter((name) => name !== "base_path");
    for (const name of names) expect(text).toMatch(new RegExp(`^#? *${name}:`, "m"));
  },
);
