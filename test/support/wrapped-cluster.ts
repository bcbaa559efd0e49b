import type { Cluster } from "#core/kafka/cluster.ts";

/**
 * The same cluster with some methods replaced: something happens around a real call, or its answer
 * is lost.
 */
export function wrappedCluster(cluster: Cluster, methods: Partial<Cluster>): Cluster {
  return new Proxy(cluster, {
    get: (target, name) => {
      const own = methods[name as keyof Cluster];
      if (own !== undefined) return own;
      const value = target[name as keyof Cluster];
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
