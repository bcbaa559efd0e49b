/**
 * An HTTP proxy before the S3 emulator that holds requests until a test lets them pass, or loses
 * the answers of some.
 */
import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

export interface StorageGate {
  /** Instead of the emulator's own. */
  readonly endpoint: string;
  /**
   * From now on, of the requests whose `METHOD /bucket/key` matches, all but the first `pass` are
   * held before the emulator sees them. They stay held, and those that come, until `open`.
   */
  hold(pattern: RegExp, options?: { readonly pass?: number }): HeldRequests;
  /**
   * From now on, of the requests whose `METHOD /bucket/key` matches, the first one of each name is
   * done by the emulator, and its answer lost with the connection. Tells how many were.
   */
  loseFirstAnswers(pattern: RegExp): () => number;
  stop(): Promise<void>;
}

export interface HeldRequests {
  /** Resolves with the first one's `METHOD /bucket/key` when it is held. */
  readonly first: Promise<string>;
  /** Resolves when every request that was held has been answered by the emulator. */
  open(): Promise<void>;
}

/**
 * A client whose request is held is told that it is being worked on (RFC 2518, 102 Processing):
 * otherwise it takes the silence for a dead connection after 30 s and sends it again.
 */
const tellEveryMs = 5_000;

interface Gate extends HeldRequests {
  readonly pattern: RegExp;
  toPass: number;
  readonly opened: Promise<void>;
  readonly arrived: (name: string) => void;
  readonly answers: Promise<unknown>[];
}

export async function startStorageGate(target: string): Promise<StorageGate> {
  const gates = new Set<Gate>();

  const gateFor = (name: string) => {
    const gate = [...gates].find(({ pattern }) => pattern.test(name));
    if (gate === undefined) return undefined;
    if (gate.toPass === 0) return gate;
    gate.toPass -= 1;
    return undefined;
  };

  const losses: { readonly pattern: RegExp; readonly names: Set<string> }[] = [];
  const isLost = (name: string) => {
    const loss = losses.find(({ pattern, names }) => pattern.test(name) && !names.has(name));
    loss?.names.add(name);
    return loss !== undefined;
  };

  const server = createServer(async (incoming, answer) => {
    const name = `${incoming.method} ${decodeURIComponent(incoming.url!.split("?")[0]!)}`;
    const gate = gateFor(name);
    if (gate === undefined) return forward(target, incoming, isLost(name) ? undefined : answer);
    const passed = Promise.withResolvers<void>();
    gate.answers.push(passed.promise);
    gate.arrived(name);
    const telling = setInterval(() => answer.writeProcessing(), tellEveryMs);
    await gate.opened;
    clearInterval(telling);
    forward(target, incoming, answer, passed.resolve);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    hold(pattern, { pass = 0 } = {}) {
      const { promise: opened, resolve: letPass } = Promise.withResolvers<void>();
      const { promise: first, resolve: arrived } = Promise.withResolvers<string>();
      const answers: Promise<unknown>[] = [];
      const gate: Gate = {
        ...{ pattern, toPass: pass, opened, first, arrived, answers },
        async open() {
          gates.delete(gate);
          letPass();
          await Promise.all(answers);
        },
      };
      gates.add(gate);
      return gate;
    },
    loseFirstAnswers(pattern) {
      const names = new Set<string>();
      losses.push({ pattern, names });
      return () => names.size;
    },
    async stop() {
      for (const gate of gates) void gate.open();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * `done` is called when the emulator has answered, whether or not the client still listens. Without
 * `answer` the client hears nothing of it.
 */
function forward(
  target: string,
  incoming: IncomingMessage,
  answer: ServerResponse | undefined,
  done: () => void = () => {},
): void {
  const { method, url, headers } = incoming;
  const outgoing = httpRequest(`${target}${url}`, { method, headers }, (reply) => {
    reply.once("end", done);
    if (answer === undefined) reply.resume().once("end", () => incoming.socket.destroy());
    else reply.pipe(answer.writeHead(reply.statusCode!, reply.headers));
  });
  outgoing.once("error", () => {
    incoming.socket.destroy();
    done();
  });
  incoming.pipe(outgoing);
}
