/**
 * A TCP proxy on loopback that stands between two processes and does to their connections what
 * networks do. It knows nothing of what is said on them.
 */
import { once } from "node:events";
import { createServer, type Socket, connect as tcpConnect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * - `refuse`: connections are reset, those that are open and those that come.
 * - `lose-answers`: requests reach the server, which does them; of every `every` answers the last
 *   is not passed on, and its connection is reset.
 * - `slow`: answers pass at so many bytes a second.
 * - `silent`: nothing passes either way, and no connection is closed: half-open.
 */
export type Fault =
  | { readonly kind: "refuse" }
  | { readonly kind: "lose-answers"; readonly every: number }
  | { readonly kind: "slow"; readonly bytesPerSecond: number }
  | { readonly kind: "silent" };

export interface FaultProxy {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** How many connections were reset, answers lost, or pieces held back since the start. */
  faults(): number;
  /** From now on; undefined heals. What `silent` held back is passed on when it heals. */
  set(fault: Fault | undefined): void;
  stop(): Promise<void>;
}

/** How often a piece that is held back looks whether it may go on. */
const heldPauseMs = 20;

/** To `127.0.0.1:{targetPort}`. */
export async function startFaultProxy(targetPort: number): Promise<FaultProxy> {
  let fault: Fault | undefined;
  let faults = 0;
  let answers = 0;
  const open = new Set<readonly [Socket, Socket]>();

  const reset = (pair: readonly [Socket, Socket]) => {
    faults += 1;
    for (const socket of pair) socket.resetAndDestroy();
  };

  /** Waits as the fault says; true where the piece is to be passed on. */
  const mayPass = async (pair: readonly [Socket, Socket], piece: Buffer, isAnswer: boolean) => {
    if (fault?.kind === "silent") faults += 1;
    while (fault?.kind === "silent" && !pair[0].destroyed) await sleep(heldPauseMs);
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

  const pump = async (pair: readonly [Socket, Socket], from: Socket, to: Socket) => {
    try {
      for await (const piece of from) {
        if (!(await mayPass(pair, piece, to === pair[0]))) return;
        if (!to.write(piece)) await Promise.race([once(to, "drain"), once(to, "close")]);
      }
      to.end();
    } catch {
      to.destroy();
    } finally {
      open.delete(pair);
    }
  };

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = tcpConnect({ port: targetPort, host: "127.0.0.1", allowHalfOpen: true });
    const pair = [client, upstream] as const;
    open.add(pair);
    pump(pair, client, upstream);
    pump(pair, upstream, client);
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
    },
    async stop() {
      for (const pair of open) for (const socket of pair) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
