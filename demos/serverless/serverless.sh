# shellcheck shell=bash
# What every demo.sh of the serverless side begins with: the words of ../stage.sh, and some more.
#
#   . "$(dirname "${BASH_SOURCE[0]}")/../serverless.sh"
#
# The emulator is the one that the demo's own S3 is part of. On services that are given, AWS_ENDPOINT_URL
# names it, and FUNCTIONS_BOOTSTRAP_SERVERS the brokers as functions find them.

. "$(dirname "${BASH_SOURCE[0]}")/../stage.sh"

# deploys STACK: what the demo deploys. Bucket and table stay where the emulator does, as on AWS.
deploys() {
  local emulator=${AWS_ENDPOINT_URL:-}
  [[ -n $emulator ]] || fail 'AWS_ENDPOINT_URL has to name an AWS emulator: this demo deploys into it.'
  "$node" "$repository/demos/given-services/answers.ts" "$emulator" ||
    fail "no AWS emulator answers at $emulator, which AWS_ENDPOINT_URL names."
  own_stack=$1
  also_removes remove_stack
}

remove_stack() {
  node ../deploy.ts --delete "$own_stack"
}

# told_of ARN FILTER: what jq makes of an execution's description.
told_of() {
  node ../aws.ts stepfunctions describe-execution --execution-arn "$1" | jq -r "$2"
}

# still_runs ARN: whether an execution has not ended.
still_runs() {
  [[ $(told_of "$1" .status) == RUNNING ]]
}

# await_end ARN: waits for an execution, which has to succeed.
await_end() {
  local wait_s=600
  has_ended() { ! still_runs "$1"; }
  until_true "$wait_s" has_ended "$1" || fail "the execution has not ended within $wait_s s: $1"
  [[ $(told_of "$1" .status) == SUCCEEDED ]] ||
    fail "the execution failed: $(told_of "$1" '[.error, .cause] | join(": ")')"
}
