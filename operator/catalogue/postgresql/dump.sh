#!/usr/bin/env bash
# Dumps one database, and counts the rows of every table in the very snapshot that is dumped. It only reads.
set -euo pipefail
export PGCONNECT_TIMEOUT=5
folder=/backup

fail() {
  echo "$*" >&2
  exit 1
}
# Whoever is beside it in the pod must not wait for what does not come.
trap '(( $? == 0 )) || [[ ! -d $folder ]] || touch "$folder/failed"' EXIT

query() {
  psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"
}

wait_for() {
  local what="$1" reason="$2"
  for _ in $(seq 1 600); do
    [[ ! -e "$folder/failed" ]] || fail "$reason: the container beside this one has given up"
    if test "$what" "$folder/$3"; then return; fi
    sleep 0.2
  done
  fail "$reason: it did not come within two minutes"
}

wait_for_server() {
  for attempt in $(seq 1 30); do
    if pg_isready --quiet; then return; fi
    echo "attempt $attempt: $PGHOST:$PGPORT does not accept connections yet"
    sleep 2
  done
}

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
