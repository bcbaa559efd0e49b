/**
 * Eight orders of 1 to 10 MB, a line each, `KEY<tab>JSON`: nested objects as a shop has them, with
 * positions, attributes and histories. The same bytes each time.
 *
 *   node demos/data/make-large-messages.ts > large-messages.txt
 */
const megabyte = 1_000_000;
const sizes = [1, 1.5, 2, 3, 4, 6, 8, 10];

const words = [
  ..."amber anchor basil beacon birch cedar cobalt coral delta ember falcon fern garnet".split(" "),
  ..."harbor indigo jasper kestrel lagoon maple nectar onyx pebble quartz raven saffron".split(" "),
  ..."timber umber velvet willow xenon yarrow zephyr".split(" "),
];

/** Numbers from 0 to 1 that only depend on the seed: a linear congruential generator. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function makeOrder(number: number, bytes: number): string {
  const next = numbersFrom(number);
  const below = (limit: number) => Math.floor(next() * limit);
  const word = () => words[below(words.length)]!;
  const position = (index: number) => ({
    line: index,
    sku: `${word()}-${below(1_000_000)}`,
    quantity: 1 + below(12),
    unit_price: below(100_000) / 100,
    description: Array.from({ length: 24 }, word).join(" "),
    attributes: { color: word(), batch: below(2 ** 31).toString(16), weight_g: below(5_000) },
    history: Array.from({ length: 4 }, (_, step) => ({
      step,
      state: word(),
      by: { user: `${word()}.${word()}`, desk: below(400) },
    })),
  });
  const order = {
    order_id: `large-${number}`,
    customer: { id: below(100_000), name: `${word()} ${word()}`, address: { city: word() } },
    positions: [] as ReturnType<typeof position>[],
  };
  let length = JSON.stringify(order).length;
  while (length < bytes) {
    const next = position(order.positions.length);
    order.positions.push(next);
    length += JSON.stringify(next).length + 1;
  }
  return JSON.stringify(order);
}

for (const [number, size] of sizes.entries()) {
  process.stdout.write(`large-${number}\t${makeOrder(number, size * megabyte)}\n`);
}
