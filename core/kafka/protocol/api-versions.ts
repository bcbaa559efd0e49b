import type { Api } from "#core/kafka/protocol/wire.ts";

export interface VersionRange {
  readonly minVersion: number;
  readonly maxVersion: number;
}

/**
 *   ApiVersions Request (Version: 0) => (empty)
 *
 *   ApiVersions Response (Version: 0) => error_code [api_keys]
 *     error_code => INT16
 *     api_keys => api_key min_version max_version
 *       api_key => INT16
 *       min_version => INT16
 *       max_version => INT16
 */
export const apiVersions: Api<
  undefined,
  {
    readonly throttleTimeMs: number;
    readonly errorCode: number;
    readonly ranges: ReadonlyMap<number, VersionRange>;
  }
> = {
  name: "ApiVersions",
  key: 18,
  version: 0,
  flexible: false,
  encode() {},
  decode(reader) {
    const errorCode = reader.int16();
    const ranges = reader.array(
      () => [reader.int16(), { minVersion: reader.int16(), maxVersion: reader.int16() }] as const,
    );
    return { throttleTimeMs: 0, errorCode, ranges: new Map(ranges) };
  },
};
