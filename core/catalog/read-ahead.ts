/** Hides an object store's latency behind the consumer's work, within a bound of memory. */

export interface ReadAheadLimits<T> {
  readonly bytesOf: (item: T) => number;
  /** Bytes of all reads under way or not yet taken; a single larger item is read alone. */
  readonly bytesMax: number;
  readonly countMax: number;
}

/** Each item with what `read` gives for it, in the order of `items`. */
export async function* readAhead<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  limits: ReadAheadLimits<T>,
  read: (item: T) => Promise<R>,
): AsyncGenerator<{ readonly item: T; readonly result: R }> {
  const window: { item: T; bytes: number; result: Promise<R> }[] = [];
  let bytesAhead = 0;
  const takeOldest = async () => {
    const { item, bytes, result } = window.shift()!;
    bytesAhead -= bytes;
    return { item, result: await result };
  };
  for await (const item of items) {
    const bytes = limits.bytesOf(item);
    const isFull = () =>
      window.length > 0 &&
      (window.length >= limits.countMax || bytesAhead + bytes > limits.bytesMax);
    while (isFull()) yield await takeOldest();
    const result = read(item);
    result.catch(() => {}); // Thrown when its turn comes; a consumer that left must not crash.
    window.push({ item, bytes, result });
    bytesAhead += bytes;
  }
  while (window.length > 0) yield await takeOldest();
}
