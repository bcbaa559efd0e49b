/** Certificates for TLS with the local Kafka, of an authority that is made for it. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runToEnd } from "#local/processes.ts";
import { requireOpenssl } from "#local/requirements.mjs";

/** PEM texts: the authority that signed all, and a client's own certificate and key. */
export interface KafkaCertificates {
  readonly ca: string;
  readonly clientCertificate: string;
  readonly clientKey: string;
  /** One more of the same authority, under a name that was not used before. */
  issue(name: string, wanted: WantedCertificate): Promise<IssuedCertificate>;
}

export interface WantedCertificate {
  /** A line of an X.509v3 extension as openssl takes it. */
  readonly extension: string;
  /** 2 when not given; negative for one that is over already. */
  readonly validDays?: number;
}

export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}

export const ofLoopback: WantedCertificate = {
  extension: "subjectAltName=IP:127.0.0.1,DNS:localhost",
};
const ofClient: WantedCertificate = { extension: "extendedKeyUsage=clientAuth" };
const validDaysDefault = 2;

/** Leaves `ca.crt` and `server.pem`, the brokers' key store, in `folder`. */
export async function makeCertificates(folder: string): Promise<KafkaCertificates> {
  await requireOpenssl();
  const authority = ["-x509", "-keyout", join(folder, "ca.key"), "-out", join(folder, "ca.crt")];
  await runToEnd("openssl", [
    ...["req", "-newkey", "rsa:2048", "-nodes", "-days", String(validDaysDefault)],
    ...[...authority, "-subj", "/CN=local kafka authority"],
  ]);
  const ca = await readFile(join(folder, "ca.crt"), "utf8");
  const issue = (name: string, wanted: WantedCertificate) => issued(folder, name, wanted);
  const server = await issue("server", ofLoopback);
  // Kafka reads a key store of type PEM as the key and then its chain, in one file (KIP-651).
  const keyStore = server.key + server.certificate + ca;
  await writeFile(join(folder, "server.pem"), keyStore, { mode: 0o600 });
  const client = await issue("client", ofClient);
  return { ca, clientCertificate: client.certificate, clientKey: client.key, issue };
}

async function issued(
  folder: string,
  name: string,
  { extension, validDays = validDaysDefault }: WantedCertificate,
): Promise<IssuedCertificate> {
  const [key, request] = [join(folder, `${name}.key`), join(folder, `${name}.csr`)];
  const extensions = join(folder, `${name}.ext`);
  const certificate = join(folder, `${name}.crt`);
  await writeFile(extensions, `${extension}\n`);
  await runToEnd("openssl", [
    ...["req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", request],
    ...["-subj", `/CN=${name}`],
  ]);
  await runToEnd("openssl", [
    ...["x509", "-req", "-in", request, "-days", String(validDays), "-extfile", extensions],
    ...["-CA", join(folder, "ca.crt"), "-CAkey", join(folder, "ca.key"), "-CAcreateserial"],
    ...["-out", certificate],
  ]);
  return { certificate: await readFile(certificate, "utf8"), key: await readFile(key, "utf8") };
}
