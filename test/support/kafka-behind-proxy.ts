/** A broker of a test's own, which deployed functions reach through a proxy, and the test directly. */
import { type LocalKafka, startKafka } from "#local/kafka.ts";
import { freePort } from "#local/processes.ts";
import { type FaultProxy, startFaultProxy } from "#test/support/fault-proxy.ts";

export interface KafkaBehindProxy {
  /** Its `bootstrapServers` are the direct way. */
  readonly kafka: LocalKafka;
  readonly proxy: FaultProxy;
  stop(): Promise<void>;
}

/** Whoever asks at the proxy's address is told that the broker is there. */
export async function startKafkaBehindProxy(): Promise<KafkaBehindProxy> {
  const port = await freePort();
  let proxied: string | undefined;
  const proxy = await startFaultProxy(() => Number(proxied?.split(":")[1]));
  const kafka = await startKafka({
    ...{ heapMb: 512, port },
    listeners: [{ name: "PROXIED", protocol: "PLAINTEXT" }],
    settings: {
      "advertised.listeners": `PLAINTEXT://127.0.0.1:${port},PROXIED://${proxy.address}`,
    },
  });
  proxied = kafka.listeners.PROXIED;
  return {
    kafka,
    proxy,
    async stop() {
      await kafka.stop();
      await proxy.stop();
    },
  };
}
