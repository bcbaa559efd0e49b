// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what the configuration calls variables
import { describe, expect, test } from "vitest";
import {
  deployedText,
  parseDeployment,
  parseRestoreDeployment,
  restoreIntoSource,
} from "#core/config/deployment.ts";

const source = { bootstrap_servers: ["kafka:9092"], topics: { include: ["orders-*"] } };
const storage = { backend: "s3", bucket: "kafka-backups", prefix: "production" };
const plain = { mode: "backup", backup_id: "orders", source, storage };
const scram = { security_protocol: "SASL_SSL", sasl_mechanism: "SCRAM-SHA-512" };
const login = { username: "reader", password: "hunter2" };

function parse(config: object, given: Partial<Parameters<typeof parseDeployment>[1]> = {}) {
  return parseDeployment(JSON.stringify(config), {
    fileName: "backup.yaml",
    env: {},
    logins: {},
    ...given,
  });
}

describe("a deployment's configuration", () => {
  test("is a backup's, with its defaults", () => {
    expect(parse(plain)).toMatchObject({ ...plain, backup: { compression: "zstd" } });
  });

  test.each([
    [{ ...plain, source: { ...source, ...scram, sasl_password: "x" } }, "source.sasl_password"],
    [{ ...plain, source: { ...source, sasl_username: "x" } }, "source.sasl_username"],
    [{ ...plain, source: { ...source, ssl_ca_location: "ca.pem" } }, "source.ssl_ca_location"],
    [{ ...plain, source: { ...source, ssl_key_location: "k" } }, "source.ssl_key_location"],
    [{ ...plain, storage: { ...storage, access_key_id: "k" } }, "storage.access_key_id"],
    [{ ...plain, storage: { ...storage, session_token: "k" } }, "storage.session_token"],
    [{ ...plain, storage: { backend: "filesystem", path: "/backups" } }, "storage.backend"],
    [{ ...plain, catalog: { table: "kafka-backup" } }, "catalog"],
    [{ mode: "restore", backup_id: "orders", target: source, storage }, "mode"],
  ])("without what functions cannot have or must not hold: %#", (config, path) => {
    const refusal = { name: "InvalidConfigError", message: expect.stringContaining(` ${path}: `) };
    expect(() => parse(config)).toThrow(expect.objectContaining(refusal));
  });

  test("takes the login from its secret", () => {
    const config = parse(
      { ...plain, source: { ...source, ...scram } },
      { logins: { source: login } },
    );
    expect(config.source).toMatchObject({ sasl_username: "reader", sasl_password: "hunter2" });
  });

  test("needs a login where the cluster wants one, and none where it does not", () => {
    const withScram = { ...plain, source: { ...source, ...scram } };
    expect(() => parse(withScram)).toThrow(/source\.sasl_username: is required/);
    expect(() => parse(plain, { logins: { source: login } })).toThrow(
      /does nothing without security_protocol/,
    );
  });

  test("S5 never tells the login", () => {
    const config = parse(
      { ...plain, source: { ...source, ...scram } },
      { logins: { source: login } },
    );
    expect(deployedText(config)).not.toMatch(/hunter2|reader/);
    expect(() => parse(plain, { logins: { source: login } })).not.toThrow(/hunter2/);
  });

  test("is the same when it is read again, its variables replaced once and for all", () => {
    const env = { SERVERS: "a:1,b:2", ODD: "literal ${SERVERS}" };
    const given = { ...plain, source: { ...source, bootstrap_servers: "${SERVERS}" } };
    const config = parse(given, { env });
    expect(config.source.bootstrap_servers).toEqual(["a:1", "b:2"]);
    expect(parse(JSON.parse(deployedText(config)))).toEqual(config);
    const odd = parse({ ...plain, source: { ...source, topics: { include: ["$${x}"] } } });
    expect(odd.source.topics.include).toEqual(["${x}"]);
    expect(parse(JSON.parse(deployedText(odd)))).toEqual(odd);
  });

  test("is read without its login by those who talk to no cluster", () => {
    const withScram = { ...plain, source: { ...source, ...scram } };
    const config = parse(withScram, { logins: { source: "elsewhere" } });
    expect(config.source.sasl_mechanism).toBe("SCRAM-SHA-512");
    expect(parse(plain, { logins: { source: "elsewhere", target: "elsewhere" } })).toEqual(
      parse(plain),
    );
  });
});

describe("a deployment's configuration for restores", () => {
  const { topics: _, ...target } = source;
  const restore = { mode: "restore", backup_id: "orders", target, storage };
  const options = { fileName: "restore.yaml", env: {}, logins: {} };

  test("is a restore's, with its defaults", () => {
    const config = parseRestoreDeployment(JSON.stringify(restore), options);
    expect(config).toMatchObject({ ...restore, restore: { create_topics: true } });
    expect(parseRestoreDeployment(deployedText(config), options)).toEqual(config);
  });

  test.each([
    [{ ...restore, target: { ...target, ...scram, sasl_password: "x" } }, "target.sasl_password"],
    [{ ...restore, source: { ...source, ssl_ca_location: "x" } }, "source.ssl_ca_location"],
    [{ ...restore, catalog: { table: "t" } }, "catalog"],
    [plain, "mode"],
  ])("without what functions cannot have or must not hold: %#", (config, path) => {
    const refusal = { name: "InvalidConfigError", message: expect.stringContaining(` ${path}: `) };
    const text = JSON.stringify(config);
    expect(() => parseRestoreDeployment(text, options)).toThrow(expect.objectContaining(refusal));
  });

  test("takes each cluster's login from its own secret, and S5 writes none down", () => {
    const withLogins = {
      ...restore,
      target: { ...target, ...scram },
      source: { ...source, ...scram },
      restore: { backup_first: true, auto_consumer_groups: true, reset_consumer_offsets: true },
    };
    const logins = { source: login, target: { username: "writer", password: "hunter3" } };
    const config = parseRestoreDeployment(JSON.stringify(withLogins), { ...options, logins });
    expect(config.source).toMatchObject({ sasl_username: "reader", sasl_password: "hunter2" });
    expect(config.target).toMatchObject({ sasl_username: "writer", sasl_password: "hunter3" });
    expect(deployedText(config)).not.toMatch(/hunter|reader|writer/);
  });

  test("without one restores go to the cluster that is backed up", () => {
    const config = parse(
      { ...plain, source: { ...source, ...scram } },
      { logins: { source: login } },
    );
    const { target } = restoreIntoSource(config);
    expect(target).toMatchObject({
      ...scram,
      bootstrap_servers: ["kafka:9092"],
      topics: { include: ["*"] },
    });
  });
});
