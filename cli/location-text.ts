/** A storage as `--path` takes it, for commands that people are told to run. */
import type { StorageConfig } from "#core/storage/location.ts";

/** What `parseLocation` reads back as the same place. Keys of an S3 are no part of it. */
export function locationText(location: StorageConfig): string {
  switch (location.backend) {
    case "filesystem":
      return location.path;
    case "memory":
      return `memory:${location.name}`;
    case "s3": {
      const { bucket, prefix, endpoint, region, path_style } = location;
      const url = new URL(`s3://${bucket}/`);
      url.pathname = prefix === "" ? "" : `/${prefix.split("/").map(encodeURIComponent).join("/")}`;
      if (endpoint !== undefined) url.searchParams.set("endpoint", endpoint);
      if (region !== undefined) url.searchParams.set("region", region);
      if (path_style !== undefined) url.searchParams.set("path_style", String(path_style));
      return url.href;
    }
  }
}
