import { describe, expect, test } from "vitest";
import { parseDeployment } from "#core/config/deployment.ts";
import { parseConfig } from "#core/config/parse.ts";

const options = { fileName: "backup.yaml", env: {}, logins: {} };
const ofMsk = ["b-1.orders.abc123.c2.kafka.eu-central-1.amazonaws.com:9098"];
const iam = { security_protocol: "SASL_SSL", sasl_mechanism: "AWS_MSK_IAM" };

function textOf(changes: object): string {
  const source = { bootstrap_servers: ofMsk, topics: { include: ["*"] }, ...iam, ...changes };
  const storage = { backend: "s3", bucket: "kafka-backups" };
  return JSON.stringify({ mode: "backup", backup_id: "orders", source, storage });
}

describe("sasl_mechanism AWS_MSK_IAM", () => {
  test("needs no more than the brokers of Amazon MSK", () => {
    expect(parseConfig(textOf({}), options)).toMatchObject({ source: iam });
  });

  test.each([
    [{ sasl_username: "me" }, /source\.sasl_username: does nothing with AWS_MSK_IAM/],
    [{ sasl_password: "it" }, /source\.sasl_password: does nothing with AWS_MSK_IAM/],
    [{ security_protocol: "SASL_PLAINTEXT" }, /source\.security_protocol: must be SASL_SSL/],
    [{ security_protocol: "SSL" }, /source\.sasl_mechanism: does nothing without/],
    [{ bootstrap_servers: ["kafka:9098"] }, /source\.aws_region: is required with AWS_MSK_IAM/],
    [{ aws_region: "Frankfurt" }, /source\.aws_region: must be a region/],
    [
      {
        ...{ sasl_mechanism: "PLAIN", sasl_username: "u", sasl_password: "p" },
        aws_region: "us-east-1",
      },
      /source\.aws_region: does nothing without sasl_mechanism AWS_MSK_IAM/,
    ],
  ])("%j is refused by name", (changes, message) => {
    expect(() => parseConfig(textOf(changes), options)).toThrow(message);
  });

  test("takes a region where the brokers have names of their own", () => {
    const own = textOf({ bootstrap_servers: ["kafka:9098"], aws_region: "eu-west-1" });
    expect(parseConfig(own, options)).toMatchObject({ source: { aws_region: "eu-west-1" } });
  });

  test("is a deployment's without a secret, and refuses one", () => {
    for (const source of [undefined, "elsewhere" as const]) {
      const logins = source === undefined ? {} : { source };
      expect(parseDeployment(textOf({}), { ...options, logins })).toMatchObject({ source: iam });
    }
    const logins = { source: { username: "u", password: "p" } };
    expect(() => parseDeployment(textOf({}), { ...options, logins })).toThrow(
      /the secret with the login of source: does nothing with AWS_MSK_IAM/,
    );
  });
});
