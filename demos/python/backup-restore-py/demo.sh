#!/usr/bin/env bash
# A Python service writes a topic with confluent-kafka; it is backed up, deleted, restored, and every
# record is as it was.
. "$(dirname "${BASH_SOURCE[0]}")/../../stage.sh"

needs python3
uses_topics orders

say '1. confluent-kafka is installed into a virtual environment of the cache (once).'
run <<'SH'
VENV=../../../.cache/demos/backup-restore-py
python3 -m venv "$VENV"
"$VENV/bin/pip" install --quiet --disable-pip-version-check --requirement requirements.txt
SH

say '2. The script writes, has the topic backed up, deletes it, has it restored, and compares.'
run <<'SH'
"$VENV/bin/python" demo_backup_restore.py
SH

say "3. By Kafka's own tool:"
check 'records in the restored topic' "$(count_records orders)" 102

done_with_claims 1
