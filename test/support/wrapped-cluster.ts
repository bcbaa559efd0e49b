import type { Cluster } from "#core/kafka/cluster.ts";

/**
 * The same cluster with some methods replaced: something happens around a real call, or its answer
 * is lost.
 */
export function wrappedCluster(cluster: Cluster, methods: Partial<Cluster>): Cluster {
  return wrapped(cluster, methods);
}

/** The same of anything else. */
export function wrapped<T extends object>(real: T, methods: Partial<T>): T {
  return new Proxy(real, {
    get: (target, name) => {
      const own = methods[name as keyof T];
      if (own !== undefined) return own;
      const value = target[name as keyof T];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Fetches bring one batch each, so that there is a fetch that begins at every one of them. */
export function fetchingSingleBatches(cluster: Cluster): Cluster {
  return wrappedCluster(cluster, {
    fetch: (request) => cluster.fetch({ ...request, maxBytes: 1 }),
  });
}
