#!/usr/bin/env bash
# Dumps one database, and counts the rows of every table in the very snapshot that is dumped. It only reads.
set -euo pipefail
source /etc/plinth/backup.sh

wait_for_server
# One snapshot for the dump and for the rows that are counted; it lasts as long as the session that has exported it.
coproc session { query; }
to_session="${session[1]}" from_session="${session[0]}"
printf 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSELECT pg_export_snapshot();\n' >&"$to_session"
read -r -t 60 snapshot <&"$from_session" || fail "$PGDATABASE gives no snapshot"
wait_for -p "nobody takes the dump" stream
pg_dump --format=custom --no-owner --no-privileges --snapshot="$snapshot" >"$folder/stream"
{
  printf "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;\nSET TRANSACTION SNAPSHOT '%s';\n" "$snapshot"
  cat /etc/plinth/counts.sql
  printf 'COMMIT;\n'
} | query | LC_ALL=C sort >"$folder/counts"
touch "$folder/whole"
eval "exec $to_session>&-"
echo "dumped database $PGDATABASE: $(wc -l <"$folder/counts") tables and kinds of objects"
