import type { BackupRequest } from "#core/backup/contract.ts";
import type { BackupConfig } from "#core/config/schema.ts";

/** What a configuration asks for. */
export function backupRequestOf({ backup_id, source, backup }: BackupConfig): BackupRequest {
  const { compression, compression_level, recompress, segment_max_bytes } = backup;
  return {
    backup_id,
    topics: source.topics,
    segments: {
      compression,
      ...(compression_level !== undefined && { compression_level }),
      recompress,
      segment_max_bytes,
      checkpoint_interval_ms: backup.checkpoint_interval_secs * 1000,
    },
    max_concurrent_partitions: backup.max_concurrent_partitions,
    ...(backup.max_bytes_per_second !== undefined && {
      max_bytes_per_second: backup.max_bytes_per_second,
    }),
    include_offset_headers: backup.include_offset_headers,
  };
}
