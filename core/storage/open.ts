/** The one place that names the concrete storages. */
import type { StorageBackend } from "#core/storage/backend.ts";
import { openFilesystem } from "#core/storage/filesystem.ts";
import type { StorageConfig } from "#core/storage/location.ts";
import { openMemory } from "#core/storage/memory.ts";
import { type Retry, type RetryDeps, retryWith, withRetries } from "#core/storage/retrying.ts";

/** Opens a storage whose calls repeat what could not be done at once (`RetryDeps.policy`). */
export async function openStorage(config: StorageConfig, deps: RetryDeps): Promise<StorageBackend> {
  const retry = retryWith(deps);
  return withRetries(await openBackend(config, retry), retry);
}

async function openBackend(config: StorageConfig, retry: Retry): Promise<StorageBackend> {
  switch (config.backend) {
    case "filesystem":
      return openFilesystem(config.path);
    case "memory":
      return openMemory(config.name);
    case "s3": {
      // Loading an SDK takes 0.2 s, which runs on a folder need not wait for.
      const { openS3 } = await import("#core/storage/s3.ts");
      return openS3(config, retry);
    }
    case "azure": {
      const { openAzure } = await import("#core/storage/azure.ts");
      return openAzure(config, retry);
    }
    case "gcs": {
      const { openGcs } = await import("#core/storage/gcs.ts");
      return openGcs(config, retry);
    }
  }
}
