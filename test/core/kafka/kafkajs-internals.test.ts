import { createRequire } from "node:module";
import { createServer, type Socket } from "node:net";
import type { SASLOptions } from "kafkajs";
import { afterEach, expect, test, vi } from "vitest";
import { connectionFactory } from "#core/kafka/kafkajs-internals.ts";
import { silentLogger } from "#core/runtime.ts";

const require = createRequire(import.meta.url);

const make = (sasl?: SASLOptions) =>
  connectionFactory({
    clientId: "test",
    tls: undefined,
    sasl,
    connectTimeoutMs: 1000,
    logger: silentLogger,
  });

afterEach(() => {
  vi.restoreAllMocks();
});

/** A server that answers each request of `size correlation-id` with the same correlation id. */
async function echoServer(onSocket: (socket: Socket) => void) {
  const server = createServer(onSocket);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { port, close: () => server.close() };
}

const api = { key: 99, name: "Test", version: 0 };

function frame(correlationId: number): Buffer[] {
  const buffer = Buffer.alloc(8);
  buffer.writeInt32BE(4, 0);
  buffer.writeInt32BE(correlationId, 4);
  return [buffer];
}

test("kafkajs is the version whose internals are known", () => {
  expect(require("kafkajs/package.json").version).toBe("2.2.4");
});

test("all internals that are used are there", async () => {
  await expect(make()("127.0.0.1", 1)).resolves.toBeDefined();
});

test("a missing internal is named, with the version that has it", async () => {
  const { prototype } = require("kafkajs/src/network/connection.js");
  const { authenticate } = prototype;
  try {
    delete prototype.authenticate;
    await expect(make()("127.0.0.1", 1)).rejects.toThrow(
      "kafkajs has no Connection.authenticate(): this version works with kafkajs 2.2.4 only",
    );
  } finally {
    prototype.authenticate = authenticate;
  }
});

test("answers arrive, and no timer with a negative delay is set", async () => {
  const { port, close } = await echoServer((socket) => socket.pipe(socket));
  const warnings = vi.spyOn(process, "emitWarning");
  const connection = await make()("127.0.0.1", port);
  await connection.connect();
  const answers = await Promise.all([1, 2, 3].map(() => connection.send(api, frame)));
  expect(answers.map((answer) => answer.length)).toEqual([0, 0, 0]);
  expect(warnings).not.toHaveBeenCalled();
  connection.destroy(new Error("done"));
  close();
});

test("a server that closes at once fails what was asked of it", async () => {
  const { port, close } = await echoServer((socket) => socket.destroy());
  const connection = await make()("127.0.0.1", port);
  const asked = connection.connect().then(() => connection.send(api, frame));
  await expect(asked).rejects.toThrow(/closed|ECONNRESET/i);
  close();
});

test("destroying rejects what waits and sends nothing afterwards", async () => {
  const received: Buffer[] = [];
  const { port, close } = await echoServer((socket) => {
    socket.on("data", (chunk) => received.push(chunk)).on("error", () => {});
  });
  const connection = await make()("127.0.0.1", port);
  await connection.connect();
  const waiting = connection.send(api, frame);
  connection.destroy(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
  await expect(connection.send(api, frame)).rejects.toThrow("enough");
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(Buffer.concat(received).length).toBeLessThanOrEqual(8);
  close();
});

/** Answers the first request: no error, the one mechanism that there is (SaslHandshake). */
function handshake(request: Buffer, mechanism: string): Buffer {
  const answer = Buffer.alloc(16 + mechanism.length);
  answer.writeInt32BE(answer.length - 4, 0);
  request.copy(answer, 4, 8, 12);
  answer.writeInt32BE(1, 10);
  answer.writeInt16BE(mechanism.length, 14);
  answer.write(mechanism, 16);
  return answer;
}

test.each(["plain", "scram-sha-256"] as const)(
  "a server that hangs up in a login by %s has not refused it",
  async (mechanism) => {
    let requests = 0;
    const { port, close } = await echoServer((socket) => {
      socket.on("data", (request) => {
        requests += 1;
        if (requests === 1) socket.write(handshake(request, mechanism.toUpperCase()));
        else socket.end();
      });
    });
    const sasl = { mechanism, username: "alice", password: "secret" } as SASLOptions;
    const connection = await make(sasl)("127.0.0.1", port);
    await connection.connect();
    const versions = new Map([
      [17, { minVersion: 0, maxVersion: 1 }],
      [36, { minVersion: 0, maxVersion: 1 }],
    ]);
    await expect(connection.login(versions)).rejects.toThrow(/^the other side closed/);
    expect(requests).toBe(2);
    close();
  },
);
