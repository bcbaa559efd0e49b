/**
 * Yields `map` of each item of `source`, in order, with up to `ahead` items under way before they
 * are asked for. When the consumer stops early, what is under way is awaited and dropped: nothing
 * runs on after the loop.
 */
export async function* mapAhead<T, R>(
  source: AsyncGenerator<T, void, undefined>,
  ahead: number,
  map: (item: T) => R | Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const pending: Promise<{ readonly value: R } | undefined>[] = [];
  const pull = async () => {
    const next = await source.next();
    return next.done === true ? undefined : { value: await map(next.value) };
  };
  try {
    for (;;) {
      while (pending.length <= ahead) {
        const pulled = pull();
        pulled.catch(() => {}); // Thrown when its turn comes.
        pending.push(pulled);
      }
      const item = await pending.shift();
      if (item === undefined) return;
      yield item.value;
    }
  } finally {
    await Promise.allSettled(pending);
    await source.return();
  }
}
