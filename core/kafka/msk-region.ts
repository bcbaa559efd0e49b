/** `b-1.orders.abc123.c2.kafka.eu-central-1.amazonaws.com:9098`: `eu-central-1`. */
export function regionOfBrokers(bootstrapServers: readonly string[]): string | undefined {
  for (const server of bootstrapServers) {
    const [, region] =
      /\.kafka(?:-serverless)?\.([a-z]{2}[a-z0-9-]*-\d+)\.amazonaws\.com(?:\.cn)?:\d+$/.exec(
        server,
      ) ?? [];
    if (region !== undefined) return region;
  }
  return undefined;
}
