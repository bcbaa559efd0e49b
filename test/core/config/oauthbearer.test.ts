import { describe, expect, test } from "vitest";
import { deployedText, parseDeployment } from "#core/config/deployment.ts";
import { parseConfig } from "#core/config/parse.ts";

const options = { fileName: "backup.yaml", env: {}, logins: {} };
const bearer = { security_protocol: "SASL_SSL", sasl_mechanism: "OAUTHBEARER" };
const url = { sasl_oauthbearer_token_endpoint_url: "https://login.example.com/token" };
const client = { sasl_oauthbearer_client_id: "backup", sasl_oauthbearer_client_secret: "hush" };
const file = { sasl_oauthbearer_token_file: "/var/run/token" };

function textOf(changes: object): string {
  const source = { bootstrap_servers: ["kafka:9093"], topics: { include: ["*"] }, ...changes };
  const storage = { backend: "s3", bucket: "kafka-backups" };
  return JSON.stringify({ mode: "backup", backup_id: "orders", source, storage });
}

describe("sasl_mechanism OAUTHBEARER", () => {
  test("takes tokens from an endpoint, with all that an issuer may want to be told", () => {
    const asked = {
      ...{ ...bearer, ...url, ...client },
      sasl_oauthbearer_scope: "kafka",
      sasl_oauthbearer_audience: "https://kafka",
      sasl_oauthbearer_extensions: { logicalCluster: "lkc-1" },
    };
    expect(parseConfig(textOf(asked), options)).toMatchObject({ source: asked });
  });

  test("takes them from a file", () => {
    const config = parseConfig(textOf({ ...bearer, ...file }), options);
    expect(config).toMatchObject({ source: { ...bearer, ...file } });
  });

  test.each([
    [{}, /source\.sasl_oauthbearer_token_endpoint_url: is required with OAUTHBEARER, or/],
    [url, /source\.sasl_oauthbearer_client_secret: is required with OAUTHBEARER/],
    [{ ...file, ...client }, /client_id: does nothing with sasl_oauthbearer_token_file/],
    [{ ...file, sasl_username: "me" }, /sasl_username: does nothing with OAUTHBEARER/],
    [{ ...file, aws_region: "eu-west-1" }, /aws_region: does nothing without sasl_mechanism AWS/],
    [{ ...file, security_protocol: "SSL" }, /token_file: does nothing without security_protocol/],
    [
      { ...file, sasl_mechanism: "PLAIN", sasl_username: "u", sasl_password: "p" },
      /token_file: does nothing without sasl_mechanism OAUTHBEARER/,
    ],
    [{ ...client, sasl_oauthbearer_token_endpoint_url: "ftp://x" }, /must be a URL with http/],
    [
      { ...client, sasl_oauthbearer_token_endpoint_url: "https://me:hush@x/" },
      /must not hold credentials/,
    ],
    [{ ...file, sasl_oauthbearer_extensions: { auth: "x" } }, /must be a name of letters/],
    [{ ...file, sasl_oauthbearer_extensions: { a: "x\u0001b=y" } }, /must be printable ASCII/],
  ])("%j is refused by name", (changes, message) => {
    expect(() => parseConfig(textOf({ ...bearer, ...changes }), options)).toThrow(message);
  });

  test("S5: no problem repeats the secret", () => {
    const wrong = { ...bearer, ...client, ...file, security_protocol: "SSL" };
    expect(() => parseConfig(textOf(wrong), options)).toThrow(/^(?!.*hush)/s);
  });

  test("a CA is the endpoint's where brokers are asked without TLS", () => {
    const plain = { ...bearer, ...url, ...client, security_protocol: "SASL_PLAINTEXT" };
    const config = parseConfig(textOf({ ...plain, ssl_ca_location: "ca.pem" }), options);
    expect(config).toMatchObject({ source: { ssl_ca_location: "ca.pem" } });
  });

  test("is a deployment's with the client's id and secret out of the secret", () => {
    const text = textOf({ ...bearer, ...url });
    const logins = { source: { username: "backup", password: "hush" } };
    const config = parseDeployment(text, { ...options, logins });
    expect(config).toMatchObject({ source: { ...bearer, ...url, ...client } });
    expect(deployedText(config)).not.toMatch(/hush|client_id/);
  });

  test.each([
    [client, /source\.sasl_oauthbearer_client_id: is not for a deployment's file: name the secret/],
    [file, /source\.sasl_oauthbearer_token_file: is not for a deployment/],
  ])("%j is no deployment's", (changes, message) => {
    const text = textOf({ ...bearer, ...url, ...changes });
    expect(() => parseDeployment(text, options)).toThrow(message);
  });
});

describe("TLS", () => {
  const ssl = { security_protocol: "SSL" };
  const certificate = { ssl_certificate_location: "c.pem", ssl_key_location: "k.pem" };

  test("takes the passphrase of a key, and certificates whose names are not looked at", () => {
    const given = {
      ...{ ...ssl, ...certificate },
      ssl_key_password: "p",
      ssl_endpoint_identification_algorithm: "",
    };
    expect(parseConfig(textOf(given), options)).toMatchObject({ source: given });
  });

  test.each([
    [{ ...ssl, ssl_key_password: "p" }, /ssl_key_location: is required with ssl_key_password/],
    [
      { ssl_endpoint_identification_algorithm: "" },
      /ssl_endpoint_identification_algorithm: does nothing without/,
    ],
  ])("%j is refused by name", (changes, message) => {
    expect(() => parseConfig(textOf(changes), options)).toThrow(message);
  });
});
