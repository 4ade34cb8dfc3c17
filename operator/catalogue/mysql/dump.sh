#!/usr/bin/env bash
# Dumps one database, and counts the rows of every table as they pass. It only reads.
set -euo pipefail
source /etc/plinth/backup.sh

wait_for_server
wait_for -p "nobody takes the dump" stream
taken "$CLAIM_DATABASE" | counted "$folder/rows" >"$folder/stream"
sorted "$folder/rows" "$folder/counts"
touch "$folder/whole"
echo "dumped database $CLAIM_DATABASE: $(wc -l <"$folder/counts") tables"
