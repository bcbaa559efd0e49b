/** A proxy before an HTTP service that loses answers: what came of a request is not heard. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";

/** `lost`: done, then the connection breaks. Else: not done, answered with that status, or that. */
export type Fate = "lost" | number | Answer;

export interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly body?: string;
}

export interface Struck {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
}

export interface HttpFaults {
  /** `http://127.0.0.1:{port}` */
  readonly url: string;
  /** The first `count` requests that match from now on meet `fate`; returns how many did. */
  strike(matches: (message: Struck) => boolean, fate: Fate, count?: number): () => number;
  stop(): Promise<void>;
}

/** Keeps the client's Host header: signatures cover it, and services put it into their answers. */
export async function startHttpFaults(target: string): Promise<HttpFaults> {
  let fateOf: (message: Struck) => Fate | "passed" = () => "passed";
  const server = createServer((incoming, answer) => {
    const { method = "", url = "", headers } = incoming;
    const fate = fateOf({ method, url, headers });
    if (typeof fate !== "string") {
      const told: Answer = typeof fate === "number" ? { status: fate } : fate;
      const { status, contentType = "text/plain", body = "" } = told;
      incoming.resume().once("end", () => {
        answer.writeHead(status, { "content-type": contentType }).end(body);
      });
      return;
    }
    const outgoing = request(`${target}${url}`, { method, headers }, (reply) => {
      if (fate === "lost") {
        reply.resume().once("end", () => incoming.socket.destroy());
        return;
      }
      answer.writeHead(reply.statusCode!, reply.headers);
      reply.pipe(answer);
    });
    outgoing.on("error", () => incoming.socket.destroy());
    incoming.pipe(outgoing);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    strike(matches, fate, count = 1) {
      let struck = 0;
      fateOf = (message) => {
        if (struck === count || !matches(message)) return "passed";
        struck++;
        return fate;
      };
      return () => struck;
    },
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
