/**
 * Whether something accepts connections at one of some addresses, HOST:PORT or URL, divided by
 * commas. Ends with 0 when so, else with 1.
 */
import { connect } from "node:net";

const timeoutMs = 5_000;

function answers(address: string): Promise<boolean> {
  const url = new URL(address.includes("://") ? address : `tcp://${address}`);
  const port = Number(url.port) || (url.protocol === "https:" ? 443 : 80);
  return new Promise((resolve) => {
    const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ""), port });
    const end = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
    socket.setTimeout(timeoutMs, () => end(false));
  });
}

const addresses = (process.argv[2] ?? "").split(",").map((address) => address.trim());
const found = await Promise.all(
  addresses.map((one) => (URL.canParse(one) || one.includes(":")) && answers(one)),
);
process.exitCode = found.includes(true) ? 0 : 1;
