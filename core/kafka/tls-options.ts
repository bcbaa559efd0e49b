/** What TLS with the brokers is told, checked before the first connection. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { BackupError } from "#core/errors.ts";
import type { ClusterConfig } from "#core/kafka/cluster-config.ts";

/** Options of `tls.connect`. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly passphrase?: string;
  readonly checkServerIdentity?: () => undefined;
}

/**
 * Undefined where there is no TLS. Throws InvalidConfigError for what is no certificate or key and
 * for a key of another certificate: Node takes a CA that holds nothing without a word, and tells of
 * the others at each connection, as if the broker were at fault.
 */
export function tlsOptionsOf(config: ClusterConfig): TlsOptions | undefined {
  if (!config.security_protocol?.endsWith("SSL")) return undefined;
  const { ssl_ca, ssl_certificate, ssl_key, ssl_key_password } = config;
  if (ssl_ca !== undefined) certificatesOf("ssl_ca", ssl_ca);
  if (ssl_certificate !== undefined && ssl_key !== undefined) {
    const [own] = certificatesOf("ssl_certificate", ssl_certificate);
    if (!own!.checkPrivateKey(keyOf(ssl_key, ssl_key_password))) {
      throw invalid("ssl_key is not the key of ssl_certificate", {
        hint: "Give the key that the certificate was requested with; the client's own certificate comes first in its file.",
      });
    }
  }
  return {
    ...(ssl_ca === undefined ? {} : { ca: ssl_ca }),
    ...(ssl_certificate === undefined ? {} : { cert: ssl_certificate }),
    ...(ssl_key === undefined ? {} : { key: ssl_key }),
    ...(ssl_key_password === undefined ? {} : { passphrase: ssl_key_password }),
    ...(config.ssl_endpoint_identification_algorithm === "" && {
      checkServerIdentity: () => undefined,
    }),
  };
}

const certificatePattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** One or more, in their order. */
function certificatesOf(what: "ssl_ca" | "ssl_certificate", pem: string): X509Certificate[] {
  const blocks = pem.match(certificatePattern) ?? [];
  if (blocks.length === 0) {
    throw invalid(`${what} holds no certificate in PEM form`, {
      hint: "`keytool -list -rfc -keystore FILE` prints the certificates of a Java key store in PEM form.",
    });
  }
  return blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw invalid(`${what}: certificate ${i + 1} is damaged: ${codeOf(cause)}`, { cause });
    }
  });
}

/** Of PKCS #8 (RFC 7468) and of OpenSSL's older form (RFC 1421). */
const encryptedKey = /^-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m;

function keyOf(pem: string, passphrase: string | undefined): KeyObject {
  // What OpenSSL says of it depends on whether there is a terminal.
  if (passphrase === undefined && encryptedKey.test(pem)) {
    throw invalid("ssl_key is encrypted, and ssl_key_password is missing");
  }
  try {
    return createPrivateKey({ key: pem, ...(passphrase !== undefined && { passphrase }) });
  } catch (cause) {
    const code = codeOf(cause);
    const why = /PRIVATE KEY-----/.test(pem)
      ? `cannot be read${passphrase === undefined ? "" : " with ssl_key_password"}: ${code}`
      : "holds no private key in PEM form";
    throw invalid(`ssl_key ${why}`, { cause });
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? (error as Error).name;
}

function invalid(message: string, options: { cause?: unknown; hint?: string } = {}): BackupError {
  return new BackupError("InvalidConfigError", message, options);
}
