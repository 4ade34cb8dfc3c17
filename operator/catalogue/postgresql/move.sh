#!/usr/bin/env bash
# Brings one database from one PostgreSQL to another: dumps it, restores it in one transaction, and compares every table,
# sequence and large object. The source is only read. Running it again is safe: what an earlier run left half done is
# cleared first, and a target that somebody else has filled is an error. The comment on the target database tells which.
set -euo pipefail
export PGCONNECT_TIMEOUT=5

# Passwords go by the environment: a command line can be read by others.
from() {
  PGHOST="$FROM_HOST" PGPORT="$FROM_PORT" PGDATABASE="$FROM_DATABASE" PGUSER="$FROM_USERNAME" \
    PGPASSWORD="$FROM_PASSWORD" "$@"
}
to() {
  PGHOST="$TO_HOST" PGPORT="$TO_PORT" PGDATABASE="$TO_DATABASE" PGUSER="$TO_USERNAME" PGPASSWORD="$TO_PASSWORD" "$@"
}
query() {
  "$1" psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1
}
fail() {
  echo "$*" >&2
  exit 1
}

# What the database's owner has made, or somebody for him. Extensions bring things of their own.
filled() {
  query to <<'SQL'
WITH own AS (
  SELECT oid FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
), things (class, id) AS (
  SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM own)
  UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM own)
  UNION ALL SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace IN (SELECT oid FROM own) AND typtype IN ('d', 'e', 'r')
  UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE oid IN (SELECT oid FROM own) AND nspname <> 'public'
  UNION ALL SELECT 'pg_largeobject'::regclass, oid FROM pg_largeobject_metadata
)
SELECT count(*) FROM things
WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = id AND deptype = 'e');
SQL
}

# One line for each table with its rows, each sequence with its value, and for all large objects.
content() {
  query "$1" <<'SQL' | LC_ALL=C sort
SELECT format(
  CASE relkind WHEN 'S' THEN 'SELECT %L, last_value, is_called FROM %I.%I' ELSE 'SELECT %L, count(*) FROM %I.%I' END,
  nspname || '.' || relname, nspname, relname)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'S') AND nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'
AND NOT EXISTS (
  SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e'
)
\gexec
SELECT 'large objects', count(*) FROM pg_largeobject_metadata;
SQL
}

mark() {
  export MARK="plinth.dev/move $MOVE_ID: $1"
  query to <<'SQL'
\getenv mark MARK
SELECT format('COMMENT ON DATABASE %I IS %L', current_database(), :'mark')
\gexec
SQL
}

compare() {
  local there here
  there=$(content from)
  here=$(content to)
  if [[ "$there" != "$here" ]]; then
    diff <(echo "$there") <(echo "$here") || true
    fail "database $TO_DATABASE at $TO_HOST differs from $FROM_DATABASE at $FROM_HOST as shown above (< source, > target)"
  fi
  echo "$(echo "$here" | wc -l) tables, sequences and kinds of objects are the same on both sides"
}

for side in from to; do
  for attempt in $(seq 1 30); do
    "$side" pg_isready --quiet && break
    echo "attempt $attempt: the server to copy $side does not accept connections yet"
    sleep 2
  done
done

state=$(query to <<<"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database();")
for id in $MOVE_EARLIER; do
  # A move that was given up before anybody used what it had brought; the source has gone on since.
  if [[ "$state" == "plinth.dev/move $id: copied" ]]; then state="plinth.dev/move $id: copying"; fi
done
case "$state" in
"plinth.dev/move $MOVE_ID: copied")
  compare
  echo "database $TO_DATABASE was brought by an earlier run"
  exit 0
  ;;
"plinth.dev/move "*": copying")
  # Nobody uses a database before it says `copied`: all that is there came from a run that did not end.
  echo "clears what an earlier run has left in database $TO_DATABASE"
  query to <<<"SET client_min_messages = warning; DROP OWNED BY CURRENT_USER CASCADE;"
  ;;
esac
if [[ "$(filled)" != 0 ]]; then
  fail "database $TO_DATABASE at $TO_HOST is not empty, and this move has not filled it (${state:-no comment of a move}):" \
    "look at what is in it, and drop it by hand if it may go"
fi

mark copying
from pg_dump --format=custom --no-owner --no-privileges |
  to pg_restore --no-owner --no-privileges --exit-on-error --single-transaction --dbname="$TO_DATABASE"
compare
query to <<<"SET client_min_messages = error; ANALYZE;"
mark copied
echo "brought database $FROM_DATABASE from $FROM_HOST to $TO_DATABASE at $TO_HOST"
