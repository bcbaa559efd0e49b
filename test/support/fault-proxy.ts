/**
 * A TCP proxy on loopback that stands between two processes and does to their connections what
 * networks do. It knows nothing of what is said on them.
 */
import { once } from "node:events";
import { createServer, type Socket, connect as tcpConnect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, vi } from "vitest";

/**
 * - `refuse`: connections are reset, those that are open and those that come.
 * - `lose-answers`: requests reach the server, which does them; of every `every` answers the last
 *   is not passed on, and its connection is reset.
 * - `slow`: answers pass at so many bytes a second.
 * - `silent`: nothing passes either way for a while, and no connection is closed.
 * - `half-open`: the same, but connections that were open in the while never carry anything again,
 *   as where a gateway has forgotten them: only new ones work when it heals.
 * - `hold`: the first piece of a request that `matches`, and all that follows it on its connection,
 *   is kept from the server; when it heals they are lost with the connection, which is reset, or
 *   stays as it is where the next fault is `half-open`.
 */
export type Fault =
  | { readonly kind: "refuse" }
  | { readonly kind: "lose-answers"; readonly every: number }
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  | { readonly kind: "silent" }
  | { readonly kind: "half-open" }
  | { readonly kind: "hold"; readonly matches: (piece: Buffer) => boolean };

export interface FaultProxy {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** How many connections were reset, answers lost, or pieces held back since the start. */
  faults(): number;
  /** From now on; undefined heals. What `silent` held back is passed on when it heals. */
  set(fault: Fault | undefined): void;
  /**
   * Of the connections that no other call holds, the first one through which so many bytes have
   * gone to the server since now is held: nothing more passes on it, either way, until `letGo`.
   */
  holdAfter(bytesToServer: number): HeldConnection;
  stop(): Promise<void>;
}

export interface HeldConnection {
  /** Resolves when there is one. */
  readonly held: Promise<void>;
  /** Passes on what was held back, whether or not the client still lives. */
  letGo(): void;
}

interface Hold extends HeldConnection {
  /** Still to go, by connection. */
  readonly left: Map<Pair, number>;
  readonly bytes: number;
  readonly over: Promise<void>;
  readonly begin: () => void;
  pair: Pair | undefined;
}

type Pair = readonly [client: Socket, upstream: Socket];

/** How often a piece that is held back looks whether it may go on. */
const heldPauseMs = 20;

/** To `127.0.0.1:{targetPort}`, asked for at each connection where it is not known yet. */
export async function startFaultProxy(targetPort: number | (() => number)): Promise<FaultProxy> {
  let fault: Fault | undefined;
  let faults = 0;
  let answers = 0;
  const open = new Set<Pair>();
  /** That a half-open fault has met. */
  const forgotten = new WeakSet<Pair>();

  const reset = (pair: Pair) => {
    faults += 1;
    for (const socket of pair) socket.resetAndDestroy();
  };

  let holds: Hold[] = [];

  /** The hold on the connection, which may begin with this piece. */
  const holdOn = (pair: Pair, bytesToServer: number): Hold | undefined => {
    const known = holds.find((hold) => hold.pair === pair);
    if (known !== undefined) return known;
    for (const hold of holds) {
      if (hold.pair !== undefined) continue;
      const left = (hold.left.get(pair) ?? hold.bytes) - bytesToServer;
      hold.left.set(pair, left);
      if (left > 0) continue;
      hold.pair = pair;
      faults += 1;
      hold.begin();
      return hold;
    }
    return undefined;
  };

  /** A piece is lost, and all that comes after it; neither end is told. */
  const forget = async ([client]: Pair) => {
    faults += 1;
    if (!client.destroyed) await once(client, "close");
    return false;
  };

  /** Waits as the fault says; true where the piece is to be passed on. */
  const mayPass = async (pair: Pair, piece: Buffer, isAnswer: boolean) => {
    await holdOn(pair, isAnswer ? 0 : piece.length)?.over;
    if (fault?.kind === "silent") faults += 1;
    while (fault?.kind === "silent" && !pair[0].destroyed) await sleep(heldPauseMs);
    if (!isAnswer && fault?.kind === "hold" && fault.matches(piece)) {
      const held = fault;
      faults += 1;
      while (fault === held && !pair[0].destroyed) await sleep(heldPauseMs);
      if (forgotten.has(pair)) return forget(pair);
      for (const socket of pair) socket.resetAndDestroy();
      return false;
    }
    if (forgotten.has(pair)) return forget(pair);
    if (isAnswer && fault?.kind === "slow") {
      faults += 1;
      await sleep((piece.length / fault.bytesPerSecond) * 1_000);
    }
    if (isAnswer && fault?.kind === "lose-answers") {
      answers += 1;
      if (answers % fault.every === 0) {
        reset(pair);
        return false;
      }
    }
    return !pair[0].destroyed && !pair[1].destroyed;
  };

  const pump = async (pair: Pair, from: Socket, to: Socket) => {
    try {
      for await (const piece of from) {
        if (!(await mayPass(pair, piece, to === pair[0]))) return;
        if (!to.write(piece)) await Promise.race([once(to, "drain"), once(to, "close")]);
      }
      if (!forgotten.has(pair)) to.end();
    } catch {
      // Who is forgotten does not hear of the other's end either.
      if (!forgotten.has(pair)) to.destroy();
    }
  };

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const port = typeof targetPort === "number" ? targetPort : targetPort();
    const upstream = tcpConnect({ port, host: "127.0.0.1", allowHalfOpen: true });
    const pair = [client, upstream] as const;
    open.add(pair);
    if (fault?.kind === "half-open") forgotten.add(pair);
    // One way may end long before the other.
    const ways = [pump(pair, client, upstream), pump(pair, upstream, client)];
    Promise.all(ways).then(() => {
      if (!forgotten.has(pair)) open.delete(pair);
    });
    if (fault?.kind === "refuse") reset(pair);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return {
    address: `127.0.0.1:${port}`,
    faults: () => faults,
    set(next) {
      fault = next;
      if (fault?.kind === "refuse") for (const pair of open) reset(pair);
      if (fault?.kind === "half-open") for (const pair of open) forgotten.add(pair);
    },
    holdAfter(bytes) {
      const { promise: held, resolve: begin } = Promise.withResolvers<void>();
      const { promise: over, resolve: end } = Promise.withResolvers<void>();
      const letGo = () => {
        holds = holds.filter((other) => other !== hold);
        end();
      };
      const hold: Hold = { held, letGo, begin, over, bytes, left: new Map(), pair: undefined };
      holds.push(hold);
      return hold;
    },
    async stop() {
      for (const hold of [...holds]) hold.letGo();
      for (const pair of open) for (const socket of pair) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resolves when there was one since `before`, which `faults()` said. */
export async function faultOf(proxy: FaultProxy, before: number): Promise<void> {
  const look = () => expect(proxy.faults()).toBeGreaterThan(before);
  await vi.waitFor(look, { timeout: 120_000, interval: 20 });
}

const disturbedMs = 4_000;

/**
 * The way has the fault for 4 s in which it surely meets something, and is healed then. `letGo` is
 * called once the fault is there: for a run that was held until then.
 */
export async function disturb(way: FaultProxy, fault: Fault, letGo: () => void): Promise<void> {
  const before = way.faults();
  way.set(fault);
  letGo();
  await faultOf(way, before);
  await sleep(disturbedMs);
  way.set(undefined);
}
