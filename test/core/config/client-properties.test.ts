import { describe, expect, test } from "vitest";
import { readClientProperties } from "#core/config/client-properties.ts";
import { readJaas, readProperties } from "#core/config/java-properties.ts";

const read = (...lines: string[]) => readClientProperties(lines.join("\n"), "client.properties");
const security = "org.apache.kafka.common.security";
const jaas = (module: string, options: string) =>
  `sasl.jaas.config=${security}.${module} required ${options};`;
const scram = [
  "security.protocol=SASL_SSL",
  "sasl.mechanism=SCRAM-SHA-512",
  jaas("scram.ScramLoginModule", 'username="alice" password="hush"'),
];
const oauth = [
  ...["security.protocol=SASL_SSL", "sasl.mechanism=OAUTHBEARER"],
  "sasl.oauthbearer.token.endpoint.url=https://login.example.com/token",
];

describe("a properties file", () => {
  test.each([
    ["a=1", "a", "1"],
    ["  a : 1", "a", "1"],
    ["a 1", "a", "1"],
    ["a=1 \\\n   2", "a", "1 2"],
    ["a\\=b=c=d", "a=b", "c=d"],
    ["a=\\u00e4\\t\\\\", "a", "ä\t\\"],
    ["a=", "a", ""],
    ["a", "a", ""],
  ])("%j reads as java.util.Properties reads it", (text, key, value) => {
    expect(readProperties(text)).toEqual([{ key, value, line: 1 }]);
  });

  test("has comments and empty lines, which count", () => {
    expect(readProperties("# a=1\n\n! b=2\r\nc=3")).toEqual([{ key: "c", value: "3", line: 4 }]);
  });
});

describe("a JAAS configuration", () => {
  test("holds quoted values with escapes, and bare ones", () => {
    const entry = readJaas(`M required a="x \\"y\\"; z" b='=' c=bare;`);
    expect(entry?.loginModule).toBe("M");
    expect([...entry!.options]).toEqual([
      ["a", 'x "y"; z'],
      ["b", "="],
      ["c", "bare"],
    ]);
  });

  test.each(["", "M required", "M sometimes;", "M required a=;", 'M required a="x;', "M; N"])(
    "%j is none",
    (text) => expect(readJaas(text)).toBeUndefined(),
  );
});

describe("what is taken of a client's properties", () => {
  test("nothing at all is a cluster without security", () => {
    const nothing = { connection: { security_protocol: "PLAINTEXT" }, pemFiles: {}, ignored: [] };
    expect(read()).toEqual(nothing);
  });

  test("brokers, client id and a login with a password", () => {
    expect(read("bootstrap.servers=a:1, b:2", "client.id=me", ...scram).connection).toEqual({
      bootstrap_servers: ["a:1", "b:2"],
      client_id: "me",
      security_protocol: "SASL_SSL",
      sasl_mechanism: "SCRAM-SHA-512",
      sasl_username: "alice",
      sasl_password: "hush",
    });
  });

  test("of a key that is there twice the last one, as Java does", () => {
    expect(read("client.id=one", "client.id=two").connection.client_id).toBe("two");
  });

  test("stores of type PEM, by their location", () => {
    const { connection, pemFiles } = read(
      "security.protocol=SSL",
      ...["ssl.truststore.type=PEM", "ssl.truststore.location=ca.pem"],
      ...["ssl.keystore.type=PEM", "ssl.keystore.location=me.pem", "ssl.key.password=k"],
      ...["ssl.endpoint.identification.algorithm=", "ssl.enabled.protocols=TLSv1.2,TLSv1.3"],
    );
    expect(pemFiles).toEqual({ trustStore: "ca.pem", keyStore: "me.pem" });
    expect(connection).toEqual({
      security_protocol: "SSL",
      ssl_key_password: "k",
      ssl_endpoint_identification_algorithm: "",
    });
  });

  test("PEM in the file itself, in the lines that OpenSSL wants", () => {
    const body = "A".repeat(70);
    const pem = (label: string) => `-----BEGIN ${label}----- ${body} -----END ${label}-----`;
    const lines = (label: string) =>
      `-----BEGIN ${label}-----\n${"A".repeat(64)}\nAAAAAA\n-----END ${label}-----\n`;
    const { connection } = read(
      "security.protocol=SSL",
      ...["ssl.truststore.type=PEM", `ssl.truststore.certificates=${pem("CERTIFICATE")}`],
      ...["ssl.keystore.type=PEM", `ssl.keystore.certificate.chain=${pem("CERTIFICATE")}`],
      `ssl.keystore.key=${pem("PRIVATE KEY")}`,
    );
    expect(connection).toEqual({
      security_protocol: "SSL",
      ssl_ca: lines("CERTIFICATE"),
      ssl_certificate: lines("CERTIFICATE"),
      ssl_key: lines("PRIVATE KEY"),
    });
  });

  const token = {
    security_protocol: "SASL_SSL",
    sasl_mechanism: "OAUTHBEARER",
    sasl_oauthbearer_token_endpoint_url: "https://login.example.com/token",
    sasl_oauthbearer_client_id: "me",
    sasl_oauthbearer_client_secret: "hush",
    sasl_oauthbearer_scope: "kafka",
  };

  test("OAUTHBEARER by options of its module, with what else brokers are told", () => {
    const options =
      'clientId="me" clientSecret="hush" scope="kafka" extension_logicalCluster="lkc"';
    const { connection } = read(
      ...oauth,
      jaas("oauthbearer.OAuthBearerLoginModule", options),
      `sasl.login.callback.handler.class=${security}.oauthbearer.OAuthBearerLoginCallbackHandler`,
    );
    const sasl_oauthbearer_extensions = { logicalCluster: "lkc" };
    expect(connection).toEqual({ ...token, sasl_oauthbearer_extensions });
  });

  test("OAUTHBEARER by keys of its own (KIP-1139)", () => {
    const { connection } = read(
      ...oauth,
      "sasl.oauthbearer.client.credentials.client.id=me",
      "sasl.oauthbearer.client.credentials.client.secret=hush",
      "sasl.oauthbearer.scope=kafka",
    );
    expect(connection).toEqual(token);
  });

  test("OAUTHBEARER by a file", () => {
    const { connection } = read(...oauth, "sasl.oauthbearer.token.endpoint.url=file:///run/token");
    expect(connection).toMatchObject({ sasl_oauthbearer_token_file: "/run/token" });
  });

  test("the login of Amazon MSK with IAM", () => {
    const { connection } = read(
      ...["security.protocol=SASL_SSL", "sasl.mechanism=AWS_MSK_IAM"],
      "sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required;",
      "sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    );
    expect(connection).toEqual({ security_protocol: "SASL_SSL", sasl_mechanism: "AWS_MSK_IAM" });
  });

  test("what only tunes Java's client is named", () => {
    const tuning = ["linger.ms=5", "acks=all", "sasl.login.refresh.window.factor=0.8"];
    const named = ["acks", "linger.ms", "sasl.login.refresh.window.factor"];
    expect(read(...scram, ...tuning).ignored).toEqual(named);
  });
});

describe("what cannot be honoured is refused by line and name", () => {
  test.each([
    [["security.protocol=SASL"], /client\.properties:1 security\.protocol: must be one of/],
    [["security.protocol=SASL_SSL"], /sasl\.mechanism: is required/],
    [["security.protocol=SASL_SSL", "sasl.mechanism=GSSAPI"], /:2 sasl\.mechanism: must be one of/],
    [scram.slice(0, 2), /sasl\.jaas\.config: is required: .*ScramLoginModule/],
    [
      [...scram.slice(0, 2), jaas("plain.PlainLoginModule", 'username="a" password="hush"')],
      /:3 sasl\.jaas\.config: must be: .*ScramLoginModule/,
    ],
    [
      [...scram, jaas("scram.ScramLoginModule", 'username="a" password="hush" tokenauth=true')],
      /option tokenauth is not supported/,
    ],
    [oauth, /token\.endpoint\.url: needs sasl\.oauthbearer\.client\.credentials/],
    [
      ["ssl.truststore.location=/etc/trust.jks", "ssl.truststore.password=hush"],
      /:1 ssl\.truststore\.location: a JKS store is not read: `keytool -list -rfc/,
    ],
    [
      ["ssl.keystore.type=PKCS12", "ssl.keystore.location=/etc/key.p12"],
      /:2 ssl\.keystore\.location: a PKCS12 store is not read: `openssl pkcs12/,
    ],
    [
      ["ssl.keystore.type=PEM", "ssl.keystore.key=hush"],
      /ssl\.keystore\.certificate\.chain: is required/,
    ],
    [["ssl.enabled.protocols=TLSv1.3"], /ssl\.enabled\.protocols: is not taken/],
    [["ssl.cipher.suites=X"], /:1 ssl\.cipher\.suites: is not supported, and is not ignored/],
    [["ssl.trustore.location=x"], /did you mean ssl\.truststore\.location\?/],
    [["config.providers=file"], /config\.providers: is not supported/],
    [["sasl.login.callback.handler.class=my.Own"], /this class is not known here/],
  ])("%j", (lines, message) => {
    expect(() => read(...lines)).toThrow(message);
    // S5
    expect(() => read(...lines)).toThrow(/^(?!.*hush)/s);
  });
});
