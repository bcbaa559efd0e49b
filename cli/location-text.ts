/** A storage as `--path` takes it, for commands that people are told to run. */
import type { StorageConfig } from "#core/storage/location.ts";

/** What `parseLocation` reads back as the same place. Credentials are no part of it. */
export function locationText(location: StorageConfig): string {
  switch (location.backend) {
    case "filesystem":
      return location.path;
    case "memory":
      return `memory:${location.name}`;
    case "s3": {
      const { bucket, prefix, endpoint, region, path_style } = location;
      const { encryption, kms_key_id } = location; // Commands that people are told to run may write.
      const parameters = { endpoint, region, path_style, encryption, kms_key_id };
      return urlOf(`s3://${bucket}/`, prefix, parameters);
    }
    case "azure": {
      const { container, prefix, account, endpoint } = location;
      return urlOf(`azure://${container}/`, prefix, { account, endpoint });
    }
    case "gcs": {
      const { bucket, prefix, endpoint, authentication } = location;
      return urlOf(`gs://${bucket}/`, prefix, { endpoint, authentication });
    }
  }
}

function urlOf(
  root: string,
  prefix: string,
  parameters: Readonly<Record<string, string | boolean | undefined>>,
): string {
  const url = new URL(root);
  url.pathname = prefix === "" ? "" : `/${prefix.split("/").map(encodeURIComponent).join("/")}`;
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url.href;
}
