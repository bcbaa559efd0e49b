/** What is told of each certificate that cannot be used, the brokers' and our own. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import type { IssuedCertificate, WantedCertificate } from "#local/kafka-certificates.ts";
import { freePort, runToEnd } from "#local/processes.ts";
import { connectForTests, randomName } from "#test/support/kafka.ts";

let kafka: LocalKafka;
const ofClient: WantedCertificate = { extension: "extendedKeyUsage=clientAuth" };

beforeAll(async () => {
  kafka = await startKafka({
    heapMb: 256,
    listeners: [{ name: "MUTUAL", protocol: "SSL", clientCertificate: "required" }],
  });
});
afterAll(() => kafka?.stop());

function issue(wanted: WantedCertificate): Promise<IssuedCertificate> {
  return kafka.certificates!.issue(randomName("certificate"), wanted);
}

function mutual(changes: Partial<ClusterConfig> = {}): ClusterConfig {
  const { ca, clientCertificate, clientKey } = kafka.certificates!;
  return {
    bootstrap_servers: [kafka.listeners.MUTUAL!],
    security_protocol: "SSL",
    ...{ ssl_ca: ca, ssl_certificate: clientCertificate, ssl_key: clientKey },
    ...changes,
  };
}

async function failureOf(config: ClusterConfig): Promise<Error> {
  return connectForTests(config, { retryBudgetMs: 5_000 }).then(
    async (cluster) => {
      await cluster.disconnect();
      throw new Error("connected");
    },
    (reason) => reason,
  );
}

/** A server that shows another certificate than brokers have, and hangs up after TLS. */
async function showing<T>(
  { certificate: cert, key }: IssuedCertificate,
  use: (address: string) => Promise<T>,
): Promise<T> {
  const server = createServer({ cert, key }, (socket) => socket.destroy());
  server.on("tlsClientError", () => {});
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  try {
    return await use(`127.0.0.1:${port}`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

test.each<[string, WantedCertificate, RegExp]>([
  [
    "is over",
    { extension: "subjectAltName=IP:127.0.0.1", validDays: -1 },
    /is not accepted: .*CERT_HAS_EXPIRED/,
  ],
  [
    "has another name",
    { extension: "subjectAltName=DNS:kafka.example" },
    /is not accepted: .*127\.0\.0\.1.*ERR_TLS_CERT_ALTNAME_INVALID/,
  ],
])("a broker's certificate that %s is told by its address", async (_, wanted, message) => {
  await showing(await issue(wanted), async (address) => {
    const failure = await failureOf(mutual({ bootstrap_servers: [address] }));
    expect(failure.name).toBe("AccessDeniedError");
    expect(failure.message).toContain(`the certificate of ${address}`);
    expect(failure.message).toMatch(message);
  });
});

test("a broker's certificate of another authority is told by its address", async () => {
  const other = kafka.certificates!.clientCertificate;
  expect(await failureOf(mutual({ ssl_ca: other }))).toMatchObject({
    name: "AccessDeniedError",
    message: expect.stringMatching(
      /certificate of 127\.0\.0\.1:\d+ is not accepted: .*(UNABLE_TO|SELF_SIGNED)/,
    ),
    hint: expect.stringContaining("CA that signed"),
  });
});

test("a broker's name is not looked at where that is told", async () => {
  const misnamed = await issue({ extension: "subjectAltName=DNS:kafka.example" });
  await showing(misnamed, async (address) => {
    const blind = { ssl_endpoint_identification_algorithm: "" as const };
    const failure = await failureOf(mutual({ ...blind, bootstrap_servers: [address] }));
    // Past the certificate: what shows it is no broker.
    expect(failure.name).toBe("BrokerUnavailableError");
    expect(failure.message).not.toContain("certificate");
  });
});

test.each<[string, () => Promise<Partial<ClusterConfig>>]>([
  ["is missing", async () => ({ ssl_certificate: undefined, ssl_key: undefined })],
  [
    "is over",
    async () => {
      const { certificate, key } = await issue({ ...ofClient, validDays: -1 });
      return { ssl_certificate: certificate, ssl_key: key };
    },
  ],
])("our own certificate that %s is refused by the broker", async (_, changes) => {
  const failure = await failureOf(mutual(await changes()));
  expect(failure).toMatchObject({
    name: "AccessDeniedError",
    message: expect.stringMatching(/TLS with 127\.0\.0\.1:\d+ failed: .*certificate/i),
    hint: expect.stringContaining("client certificate"),
  });
});

test("a key of another certificate is told before any broker is asked", async () => {
  const { key } = await issue(ofClient);
  const nowhere = { bootstrap_servers: ["127.0.0.1:1"], ssl_key: key };
  expect(await failureOf(mutual(nowhere))).toMatchObject({
    name: "InvalidConfigError",
    message: "ssl_key is not the key of ssl_certificate",
  });
});

test.each<[Partial<ClusterConfig>, string]>([
  [{ ssl_ca: "nothing" }, "ssl_ca holds no certificate in PEM form"],
  [{ ssl_certificate: "nothing" }, "ssl_certificate holds no certificate in PEM form"],
  [{ ssl_key: "nothing" }, "ssl_key holds no private key in PEM form"],
  [
    { ssl_ca: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----" },
    "ssl_ca: certificate 1 is damaged",
  ],
])("%j is told before any broker is asked", async (changes, message) => {
  const failure = await failureOf(mutual({ ...changes, bootstrap_servers: ["127.0.0.1:1"] }));
  expect(failure.name).toBe("InvalidConfigError");
  expect(failure.message).toContain(message);
});

test("S5: an encrypted key needs its passphrase, and a wrong one is not shown", async () => {
  const { certificate, key } = await issue(ofClient);
  const folder = await mkdtemp(join(tmpdir(), "kafka-backup-key-"));
  const [plain, encrypted] = [join(folder, "plain.pem"), join(folder, "encrypted.pem")];
  await writeFile(plain, key);
  const options = ["pkcs8", "-topk8", "-in", plain, "-out", encrypted];
  await runToEnd("openssl", [...options, "-passout", "pass:open sesame"]);
  const own = { ssl_certificate: certificate, ssl_key: await readFile(encrypted, "utf8") };
  await rm(folder, { recursive: true });

  expect((await failureOf(mutual(own))).message).toContain("ssl_key_password is missing");
  const wrong = await failureOf(mutual({ ...own, ssl_key_password: "close sesame" }));
  expect(wrong.message).toContain("ssl_key cannot be read with ssl_key_password");
  expect(JSON.stringify(wrong) + wrong.message).not.toContain("close sesame");
  const cluster = await connectForTests(mutual({ ...own, ssl_key_password: "open sesame" }));
  expect(await cluster.brokerIds()).toEqual([1]);
  await cluster.disconnect();
});
