# shellcheck shell=bash
# What every demo.sh begins with. It gives the demo its services, and the few words it is written in:
#
#   . "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"
#
# Without BOOTSTRAP_SERVERS the demo is run with a Kafka and an S3 of its own, which end with it.
# With BOOTSTRAP_SERVERS it uses that cluster, and the S3 that AWS_ENDPOINT_URL_S3 names (AWS's own
# without it), with a bucket kafka-backups. There it only ever deletes topics that are empty, those
# that it made itself, and, with DEMO_DELETE_TOPICS=yes, what is in its way.
#
# A demo has: its folder as working directory, $BOOTSTRAP_SERVERS, $BACKUPS and $BACKUPS_PREFIX (where
# backups go, as --path and as the prefix in YAML), $WORK (a folder that goes with it), $KAFKA_CLASSPATH,
# and on its PATH kafka-backup, node and Kafka's own tools.

set -euo pipefail

# The outermost script: others may stand between it and this.
demo_folder=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=$repository/node_modules/node/bin/node

# One line that says what is wrong.
fail() {
  printf '\nFAILED: %s\n' "$*" >&2
  exit 1
}

# needs COMMAND...: what a demo uses beside the services; asked before anything is started.
needs() {
  local name
  for name in "$@"; do
    command -v "$name" > /dev/null || fail "$name is needed: it is not on the PATH."
  done
}

# ---- services ------------------------------------------------------------------------------------

# shellcheck disable=SC2016 # No command: a name.
command -v node > /dev/null || fail 'Node 20 or later is needed: there is no `node` on the PATH.'

if [[ -z ${BOOTSTRAP_SERVERS:-} ]]; then
  # The demo's own line, which it comes to only when there are services.
  read -r -a wanted <<< "$(sed -n 's/^needs //p' "$0")"
  (cd "$repository" && node scripts/prepare.mjs java maven python) || exit 1
  needs ${wanted[@]+"${wanted[@]}"}
  cd "$repository"
  exec "$node" local/with-services.ts "$demo_folder/demo.sh" "$@"
fi

prepare_given_services() {
  (cd "$repository" && node scripts/prepare.mjs java maven) || exit 1
  local answers=$repository/demos/given-services/answers.ts
  "$node" "$answers" "$BOOTSTRAP_SERVERS" ||
    fail "no broker answers at $BOOTSTRAP_SERVERS, which BOOTSTRAP_SERVERS names."
  "$node" "$answers" "${AWS_ENDPOINT_URL_S3:-https://s3.amazonaws.com}" ||
    fail "no S3 answers at $AWS_ENDPOINT_URL_S3, which AWS_ENDPOINT_URL_S3 names."
  local tools
  tools=$(cd "$repository" && "$node" demos/given-services/kafka-scripts.ts)
  export KAFKA_CLASSPATH=${tools#*$'\n'} AWS_REGION=${AWS_REGION:-us-east-1}
  export PATH=$repository/bin:${tools%%$'\n'*}:${node%/*}:$PATH
}

if [[ ${DEMO_SERVICES:-given} != own ]]; then prepare_given_services; fi

run_id=demos-$(date -u +%Y%m%dT%H%M%SZ)-$$
export BACKUPS_PREFIX=$run_id
export BACKUPS=s3://kafka-backups/$run_id
WORK=$(mktemp -d)
# What anything leaves behind that is stopped half-way goes with the demo's folder.
mkdir "$WORK/tmp"
export WORK TMPDIR=$WORK/tmp
cd "$demo_folder"

# ---- topics and groups of the demo ---------------------------------------------------------------

own_topics=()
own_groups=()

topic_exists() {
  kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --list | grep -qxF "$1"
}

# count_records TOPIC: what lies between the first and the last offset of all partitions.
count_records() {
  local ends begins
  ends=$(kafka-get-offsets.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "$1" --time latest)
  begins=$(kafka-get-offsets.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --topic "$1" --time earliest)
  awk -F: 'NR == FNR { sum += $3; next } { sum -= $3 } END { print sum + 0 }' \
    <(printf '%s\n' "$ends") <(printf '%s\n' "$begins")
}

# uses_topics TOPIC...: what the demo creates and deletes. None of them is there afterwards.
uses_topics() {
  own_topics=("$@")
  if [[ ${DEMO_SERVICES:-given} == own ]]; then return; fi
  local topic existing=()
  for topic in "$@"; do
    topic_exists "$topic" || continue
    if [[ ${DEMO_DELETE_TOPICS:-no} != yes && $(count_records "$topic") != 0 ]]; then
      own_topics=()
      fail "topic $topic of $BOOTSTRAP_SERVERS holds records, and this demo would delete it." \
        "Where nothing in it is needed: DEMO_DELETE_TOPICS=yes."
    fi
    existing+=("$topic")
  done
  for topic in ${existing[@]+"${existing[@]}"}; do
    kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --topic "$topic"
  done
}

# uses_groups GROUP...: the same of consumer groups; deleted topics take their offsets with them.
uses_groups() {
  own_groups=("$@")
}

# also_removes COMMAND: what else the demo made there, to be removed when it ends.
removals=()
also_removes() {
  removals+=("$1")
}

remove_own_topics() {
  local name
  for name in ${own_groups[@]+"${own_groups[@]}"}; do
    kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --group "$name"
  done
  for name in ${own_topics[@]+"${own_topics[@]}"}; do
    kafka-topics.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --delete --if-exists --topic "$name"
  done
}

# ---- the end -------------------------------------------------------------------------------------

stop_background() {
  local pid pids
  pids=$(jobs -p)
  for pid in $pids; do kill "$pid" 2> /dev/null || true; done
  for pid in $pids; do wait "$pid" 2> /dev/null || true; done
}

under_way=''

clean_up() {
  local code=$?
  trap - EXIT INT TERM HUP
  if [[ $code != 0 && $code -lt 128 && -n $under_way ]]; then
    printf '\nFAILED: exit code %s of: %s\n' "$code" "$under_way" >&2
  fi
  stop_background
  if [[ ${DEMO_SERVICES:-given} != own ]]; then
    local removal
    for removal in ${removals[@]+"${removals[@]}"} remove_own_topics; do
      "$removal" > /dev/null 2>&1 || true
    done
  fi
  rm -rf "$WORK"
  exit "$code"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# ---- the words a demo is written in --------------------------------------------------------------

# say TEXT: what happens next, and why.
say() {
  printf '\n%s\n\n' "$*"
}

# run <<'SH' ... SH: shows commands as one would type them, and runs them.
run() {
  under_way=$(cat)
  printf '%s\n' "$under_way" | sed '1s/^/  $ /; 2,$s/^/    /'
  # Not behind `||` or `if`, which would let all but the last command fail.
  eval "$under_way" < /dev/null
  under_way=''
}

# committed GROUP: the sum of what a group has committed, by Kafka's own tool.
committed() {
  kafka-consumer-groups.sh --bootstrap-server "$BOOTSTRAP_SERVERS" --describe --group "$1" \
    2> /dev/null | awk -v group="$1" '$1 == group && $4 != "-" { sum += $4 } END { print sum + 0 }'
}

# batches_across TIME BACKUP_ID TOPIC PARTITIONS: how many of the backup's record batches hold records on
# both sides of a time, by Kafka's own kafka-dump-log.sh.
batches_across() {
  local partition log
  for ((partition = 0; partition < $4; partition++)); do
    log=$WORK/log-$partition/00000000000000000000.log
    mkdir -p "${log%/*}"
    "$node" "$repository/demos/partition-log.ts" "$BACKUPS" "$2" "$3" "$partition" > "$log"
    kafka-dump-log.sh --files "$log" --deep-iteration
  done | awk -v bound="$1" '
    function end_batch() { if (kept && cut) across++; kept = cut = 0 }
    $1 == "baseOffset:" { end_batch() }
    $1 == "|" && match($0, /CreateTime: [0-9]+/) {
      time = substr($0, RSTART + 12, RLENGTH - 12)
      if (time <= bound) kept = 1; else cut = 1
    }
    END { end_batch(); print across + 0 }'
}

# until_true SECONDS COMMAND...: asks again until the command succeeds.
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.3
  done
}

# check WHAT FOUND WANTED: one claim of the demo, which fails unless both are equal.
claims=0
check() {
  if [[ $2 == "$3" ]]; then
    claims=$((claims + 1))
    printf '    yes  %s: %s\n' "$1" "$2"
  else
    printf '     NO  %s: %s, and not %s\n' "$1" "$2" "$3"
    fail "the demo has not shown what it says"
  fi
}

# check_same WHAT FILE FILE: the same, of the content of files.
check_same() {
  if ! cmp -s "$2" "$3"; then
    diff "$2" "$3" | cut -c1-200 | sed -n '1,10p' || true
    check "$1" different identical
  fi
  check "$1" identical identical
}

# done_with_claims COUNT: the last line. A demo that skipped a claim has not shown it.
done_with_claims() {
  [[ $claims == "$1" ]] || fail "$claims claims were checked, and not $1"
  printf '\nAll claims hold: %s of %s.\n' "$claims" "$1"
}
