/** Realistic records for Kafka's ProducerPerformance: a shop's events as JSON, the same each time. */
import { writeFile } from "node:fs/promises";

/**
 * ProducerPerformance draws from these at random. A frame of 1 MiB holds some 2,000 records, of
 * which 2 % occur twice in it: that does little for the ratio. 25 MB are read within 0.2 s.
 */
const distinctRecords = 50_000;
const seed = 20_250_115;

const events = ["order_placed", "order_paid", "order_shipped", "order_returned", "cart_updated"];
const firstNames = ["Ada", "Bela", "Chidi", "Daria", "Emeka", "Farah", "Goran", "Hana", "Ines"];
const lastNames = ["Albrecht", "Brandt", "Castillo", "Dubois", "Eriksen", "Ferrari", "Novak"];
const streets = ["Mill Lane", "Hauptstrasse", "Rue de la Paix", "Via Roma", "High Street"];
const cities = ["Aarhus", "Bologna", "Cork", "Dresden", "Eindhoven", "Fribourg", "Gdansk"];
const countries = ["DE", "DK", "FR", "IE", "IT", "NL", "PL"];
const goods = ["kettle", "lamp", "notebook", "bicycle bell", "rain jacket", "tea cup", "puzzle"];
const colours = ["black", "white", "red", "sea green", "ochre", "navy"];

const hexDigits = "0123456789abcdef";
const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** Mulberry32: uniform in [0, 1), the same sequence for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One record a line. Returns the mean of their lengths in bytes. */
export async function writePayloads(file: string): Promise<number> {
  const random = randomFrom(seed);
  const lines = Array.from({ length: distinctRecords }, (_, i) => JSON.stringify(event(random, i)));
  const text = lines.join("\n");
  await writeFile(file, text);
  return Buffer.byteLength(text) / distinctRecords;
}

function event(random: () => number, n: number) {
  const below = (max: number) => Math.floor(random() * max);
  const pick = (from: readonly string[]) => from[below(from.length)]!;
  const some = (length: number, alphabet: string) =>
    Array.from({ length }, () => alphabet[below(alphabet.length)]).join("");
  const first = pick(firstNames);
  const last = pick(lastNames);
  const items = Array.from({ length: 1 + below(2) }, () => ({
    sku: `${pick(colours).slice(0, 2).toUpperCase()}-${10_000 + below(90_000)}`,
    title: `${pick(colours)} ${pick(goods)}`,
    quantity: 1 + below(5),
    unit_price_cents: 99 + below(20_000),
  }));
  return {
    event_id: some(32, hexDigits),
    type: pick(events),
    occurred_at: new Date(1_736_899_200_000 + n * 1_700 + below(1_700)).toISOString(),
    customer: {
      id: below(1_000_000),
      name: `${first} ${last}`,
      email: `${first}.${last}${below(1_000)}@example.com`.toLowerCase(),
    },
    items,
    ship_to: {
      street: `${pick(streets)} ${1 + below(200)}`,
      city: pick(cities),
      postcode: String(10_000 + below(89_999)),
      country: pick(countries),
    },
    total_cents: items.reduce((sum, item) => sum + item.quantity * item.unit_price_cents, 0),
    payment_token: some(16, base64Digits),
    session: some(22, base64Digits),
  };
}
