/**
 * A plan as a shell script of `kafka-consumer-groups.sh` calls, for who may not, or would rather
 * not, let another program commit. It does what `execute` does but for metadata, which Kafka's
 * tool cannot set.
 */
import { BackupError } from "#core/errors.ts";
import {
  type OffsetPlan,
  type OffsetStrategy,
  reportOnlyStrategies,
} from "#core/offsets/contract.ts";
import { checkTopicName } from "#core/storage/keys.ts";

/** Throws InvalidRequestError for a strategy that commits nothing: a script would. */
export function refuseReportOnly(strategy: OffsetStrategy): void {
  if (!reportOnlyStrategies.includes(strategy)) return;
  throw new BackupError(
    "InvalidRequestError",
    `strategy ${strategy} only reports: there is nothing that a script should commit`,
    { hint: "`offset-reset plan` shows its report; for a script choose another --strategy." },
  );
}

/**
 * POSIX sh. Runs again without harm; exits 3 where a group was not reset. Throws as
 * `refuseReportOnly` does.
 */
export function offsetScript(plan: OffsetPlan): string {
  refuseReportOnly(plan.strategy);
  const groups = plan.groups.flatMap(({ group, partitions }) => {
    const rows = partitions.flatMap(({ topic, partition, target_offset }) =>
      target_offset === null ? [] : [`${checkTopicName(topic)},${partition},${target_offset}`],
    );
    return rows.length === 0 ? [] : [resetOf(group, rows)];
  });
  return [header(plan), ...groups, 'exit "$status"\n'].join("\n");
}

function header(plan: OffsetPlan): string {
  const restore = plan.restore_id === undefined ? "" : `, restore ${plan.restore_id}`;
  const what = `backup ${plan.backup_id}${restore}, strategy ${plan.strategy}`;
  const cluster = plan.target_cluster_id ?? "unknown";
  return `#!/bin/sh
# Sets committed offsets of consumer groups, without metadata.
# Of: ${oneLine(`${what}, offset source ${plan.offset_source}`)}
# For the cluster with id: ${oneLine(cluster)}
#
# BOOTSTRAP=HOST:PORT sh FILE
#   COMMAND_CONFIG=FILE  client properties, for TLS and logins
#   TOOL=PATH            kafka-consumer-groups.sh, where it is not on the PATH
#
# Stop the groups' consumers first: Kafka changes only groups without members. What the groups
# have committed now is shown by: kafka-consumer-groups.sh --describe --offsets.
set -u
: "\${BOOTSTRAP:?must be HOST:PORT of a broker}"
: "\${TOOL:=kafka-consumer-groups.sh}"
status=0
offsets=$(mktemp) || exit 1
trap 'rm -f "$offsets"' EXIT

# The tool ends with 0 also where it refuses: what counts is topic, partition and offset of each
# partition in its output. Kafka 3.9 prints all of its rows in one line.
reset() {
  output=$("$TOOL" --bootstrap-server "$BOOTSTRAP" \\
    \${COMMAND_CONFIG:+--command-config "$COMMAND_CONFIG"} \\
    --group="$1" --reset-offsets --from-file "$offsets" --execute 2>&1)
  printf '%s\\n' "$output"
  missing=$(printf '%s\\n' "$output" | awk '
    FNR == NR { if ($1 != "Error:") for (i = 3; i <= NF; i++) reset[$(i - 2), $(i - 1), $i]; next }
    !(($1, $2, $3) in reset) { print $1 "-" $2 }
  ' - FS=, "$offsets")
  if [ -n "$missing" ]; then
    printf 'not reset: group %s\\n%s\\n' "$1" "$missing" >&2
    status=3
  fi
}
`;
}

/** What a bucket told must not end a comment. */
function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: to take them out
  return text.replaceAll(/[\u0000-\u001f\u007f]/g, "?");
}

/** Topic names hold nothing that a here-document or CSV would take for its own. */
function resetOf(group: string, rows: readonly string[]): string {
  return `cat >"$offsets" <<'END'\n${rows.join("\n")}\nEND\nreset ${shellQuoted(group)}\n`;
}

const plainWord = /^[A-Za-z0-9_./:=@-]+$/;

/** One word of a shell, whatever it holds (POSIX 2.2.2). */
export function shellQuoted(text: string): string {
  if (plainWord.test(text)) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}
