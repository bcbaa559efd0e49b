/** Whether a folder's file system takes what the next run will write. */
import type { Manifest } from "#core/catalog/manifest.ts";
import type { Found } from "#core/doctor/contract.ts";
import type { Checked } from "#core/doctor/examination.ts";
import { type PartitionLog, unreadShare } from "#core/doctor/logs.ts";
import type { Cluster } from "#core/kafka/cluster.ts";
import type { FreeSpace } from "#core/storage/free-space.ts";

export interface NeededSpace {
  readonly bytes: bigint;
  /** What the figure comes from. */
  readonly basis: string;
}

/**
 * The brokers' own figure of what is not backed up yet, as batches are stored as they are; else the
 * size of the newest run; undefined where neither is known.
 */
export async function neededSpace(
  cluster: Cluster,
  logs: readonly PartitionLog[],
  manifest: Manifest | undefined,
): Promise<NeededSpace | undefined> {
  const sizes = await cluster.logSizes([...new Set(logs.map(({ topic }) => topic))]);
  if (sizes !== undefined) {
    const shares = new Map(logs.map((log) => [`${log.topic}-${log.partition}`, unreadShare(log)]));
    const bytes = sizes.reduce((sum, { topic, partition, bytes }) => {
      return sum + Number(bytes) * (shares.get(`${topic}-${partition}`) ?? 0);
    }, 0);
    return { bytes: BigInt(Math.ceil(bytes)), basis: "what the brokers hold of the topics" };
  }
  const newest = manifest?.runs.at(-1);
  if (newest === undefined) return undefined;
  return { bytes: BigInt(newest.totals.stored_bytes), basis: "the newest run" };
}

export function judgeSpace(
  { freeBytes }: FreeSpace,
  needed: NeededSpace | undefined,
): Checked<void> {
  const free = `${sizeText(freeBytes)} are free`;
  if (needed === undefined) {
    const finding: Found = {
      severity: "info",
      code: "size-unknown",
      message: `${free}; how much the topics take is not known`,
      remedy: "Grant DESCRIBE on the cluster, and the brokers say how large the topics are.",
    };
    return { seen: free, findings: [finding], value: undefined };
  }
  const { bytes, basis } = needed;
  const seen = `${free}, the next run needs about ${sizeText(bytes)} by ${basis}`;
  if (freeBytes >= 2n * bytes) return { seen, value: undefined };
  const finding: Found = {
    severity: freeBytes < bytes ? "error" : "warning",
    code: freeBytes < bytes ? "no-space" : "little-space",
    message: seen,
    remedy:
      "Free space, or choose another storage: a run that meets a full disk fails and goes on later.",
  };
  return { seen, findings: [finding], value: undefined };
}

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

function sizeText(bytes: bigint): string {
  let value = Number(bytes);
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
