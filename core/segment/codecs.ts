/** The codecs that segments can be written with, and their levels; light to load. */
export const frameCodecNames = ["zstd", "lz4", "gzip", "snappy", "none"] as const;
export type FrameCodec = (typeof frameCodecNames)[number];

export interface CompressionLevels {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

/** Undefined where the codec has none. */
export const compressionLevels: Readonly<Record<FrameCodec, CompressionLevels | undefined>> = {
  // Negative levels are left out: Node takes -1 for "not set", and lz4 is faster. Above 19 the
  // window takes hundreds of MiB.
  zstd: { min: 1, max: 19, default: 1 },
  lz4: undefined,
  gzip: { min: 1, max: 9, default: 6 },
  snappy: undefined,
  none: undefined,
};

/** The level that `codec` uses when none is given; 0 where it has no levels. */
export function defaultLevel(codec: FrameCodec): number {
  return compressionLevels[codec]?.default ?? 0;
}
