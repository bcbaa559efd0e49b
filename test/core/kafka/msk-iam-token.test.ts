import { describe, expect, test } from "vitest";
import { mskIamToken } from "#core/kafka/msk-iam-token.ts";
import { regionOfBrokers } from "#core/kafka/msk-region.ts";

const now = Date.UTC(2026, 10, 21, 10, 0, 0);
const keys = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};

async function requestIn(credentials: Parameters<typeof mskIamToken>[1]): Promise<URL> {
  const token = await mskIamToken("eu-central-1", credentials, now);
  expect(token).toMatch(/^[A-Za-z0-9_-]+$/);
  return new URL(Buffer.from(token, "base64url").toString());
}

describe("a token of AWS_MSK_IAM", () => {
  test("is a presigned request to connect, with all that is signed", async () => {
    const { origin, pathname, searchParams } = await requestIn(keys);
    expect([origin, pathname]).toEqual(["https://kafka.eu-central-1.amazonaws.com", "/"]);
    expect(Object.fromEntries(searchParams)).toEqual({
      Action: "kafka-cluster:Connect",
      "User-Agent": expect.stringMatching(/^kafka-backup \d/),
      "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
      "X-Amz-Credential": "AKIDEXAMPLE/20261121/eu-central-1/kafka-cluster/aws4_request",
      "X-Amz-Date": "20261121T100000Z",
      "X-Amz-Expires": "900",
      "X-Amz-Signature": expect.any(String),
      "X-Amz-SignedHeaders": "host",
    });
  });

  // By aws-msk-iam-sasl-signer-js 1.0.3, of the same credentials at the same time.
  test.each([
    ["keys", keys, "7f75379721530be9143bacf762cd5a3e2bc587f4fd25f9a656786dc924212470"],
    [
      "a session",
      { ...keys, sessionToken: "IQoJb3JpZ2luX2VjEXAMPLE+/=='(!)*" },
      "3ab198425a489f77b78ade61d011b4947718fca5318db02921046279e1f54dc9",
    ],
    [
      "a session that ends before the token would",
      { ...keys, sessionToken: "t", expiration: new Date(now + 600_000) },
      "4d5a055bf22585899301a29438a3483521e297ffc92fb0baecf3a43cc6e9edce",
    ],
  ])("is signed as AWS's own library signs it: %s", async (_, credentials, signature) => {
    const { searchParams } = await requestIn(credentials);
    expect(searchParams.get("X-Amz-Signature")).toBe(signature);
  });

  test("ends with the credentials that it was made from", async () => {
    const { searchParams } = await requestIn({ ...keys, expiration: new Date(now + 61_900) });
    expect(searchParams.get("X-Amz-Expires")).toBe("61");
  });
});

test.each([
  [["b-1.orders.abc123.c2.kafka.eu-central-1.amazonaws.com:9098"], "eu-central-1"],
  [["kafka.internal:9098", "b-2.o.a1.c2.kafka.us-gov-west-1.amazonaws.com:9098"], "us-gov-west-1"],
  [["boot-abc.c1.kafka-serverless.us-east-1.amazonaws.com:9098"], "us-east-1"],
  [["b-1.o.a1.c2.kafka.cn-north-1.amazonaws.com.cn:9098"], "cn-north-1"],
  [["kafka.internal:9098"], undefined],
  [["b-1.kafka.eu-central-1.amazonaws.com.example.org:9098"], undefined],
])("the brokers %j say their region: %s", (servers, region) => {
  expect(regionOfBrokers(servers)).toBe(region);
});
