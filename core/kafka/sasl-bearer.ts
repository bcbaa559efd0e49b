/**
 * SASL OAUTHBEARER (RFC 7628), as a mechanism of kafkajs. Its own one never looks at the answer,
 * and takes a refused token for a login.
 */
import type { AuthenticationProviderArgs, Mechanism } from "kafkajs";

/**
 * The client speaks once, and an empty answer is a login. Else the answer is an error in JSON, and
 * the client has to say a single 0x01 before the server ends the exchange with the reason
 * (section 3.2.3).
 *
 *   client-resp => "n,," kvsep "auth=Bearer " token kvsep *(name "=" value kvsep) kvsep
 *     kvsep => 0x01
 */
function firstMessage(token: string, extensions: Extensions): Buffer {
  const pairs = Object.entries(extensions).map(([name, value]) => `${name}=${value}\x01`);
  return Buffer.from(`n,,\x01auth=Bearer ${token}\x01${pairs.join("")}\x01`);
}
const dummyMessage = Buffer.of(1);

/** What some brokers want to know beside the token, by name (KIP-342). */
type Extensions = Readonly<Record<string, string>>;

/** `tokens` is asked at each login, and again where one's lifetime is over (KIP-368). */
export function bearerMechanism(
  tokens: () => Promise<string>,
  extensions: Extensions = {},
): Mechanism {
  return {
    mechanism: "OAUTHBEARER",
    authenticationProvider: ({ saslAuthenticate }) => ({
      async authenticate() {
        const token = await tokens();
        const answer = await exchange(saslAuthenticate, firstMessage(token, extensions));
        if (answer.length === 0) return;
        try {
          await exchange(saslAuthenticate, dummyMessage);
        } catch (error) {
          throw refusal((error as Error).message);
        }
        throw refusal(answer.toString());
      },
    }),
  };
}

/** Kafkajs wants what the broker gets, and hands over what it answers, behind an INT32 size. */
async function exchange(
  saslAuthenticate: AuthenticationProviderArgs["saslAuthenticate"],
  message: Buffer,
): Promise<Buffer> {
  const size = Buffer.alloc(4);
  size.writeInt32BE(message.length);
  const answer = await saslAuthenticate<Buffer>({
    request: { encode: () => Buffer.concat([size, message]) },
    response: { decode: (sized) => sized.subarray(4), parse: (bytes) => bytes },
  });
  return answer ?? Buffer.alloc(0);
}

/** As kafkajs's own mechanisms say it. */
function refusal(message: string): Error {
  return Object.assign(new Error(message), { name: "KafkaJSSASLAuthenticationError" });
}
