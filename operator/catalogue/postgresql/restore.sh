#!/usr/bin/env bash
# Restores a dump into a database of its own beside the one that serves (`restore`), or puts that one in its place (`switch`).
# Both may be run again. What was restored is told by the rows of every table; a comment on the database tells how far it is.
# Nothing that serves is written to but by `switch`, which keeps it under another name.
set -euo pipefail
source /etc/plinth/backup.sh

# How far a database that a restore has made is; nothing where there is none or nobody has said so.
state_of() {
  NAME="$1" query <<'SQL'
\getenv name NAME
SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = :'name';
SQL
}

exists() {
  [[ "$(NAME="$1" query <<<"\\getenv name NAME
SELECT count(*) FROM pg_database WHERE datname = :'name';")" == 1 ]]
}

say_of() {
  NAME="$1" SAYS="plinth.dev/restore $RESTORE_SUFFIX: $2" query <<'SQL'
\getenv name NAME
\getenv says SAYS
SELECT format('COMMENT ON DATABASE %I IS %L', :'name', :'says')
\gexec
SQL
}

drop_of() {
  NAME="$1" query <<'SQL'
\getenv name NAME
SELECT format('DROP DATABASE IF EXISTS %I WITH (FORCE)', :'name')
\gexec
SQL
}

# What the database is called that this restore fills.
restored="${CLAIM_DATABASE}_$RESTORE_SUFFIX"

# What the stream brings goes into the database as its owner, who may do there what it may do in the one that serves.
as_owner() {
  PGUSER="$CLAIM_USERNAME" PGPASSWORD="$CLAIM_PASSWORD" PGDATABASE="$restored" "$@"
}

compare() {
  local different
  different=$(LC_ALL=C comm -3 "$folder/counts" <(as_owner query </etc/plinth/counts.sql | LC_ALL=C sort))
  [[ -z "$different" ]] ||
    fail "database $restored differs from what was backed up (left the backup, indented what was restored):"$'\n'"$different"
  echo "$(wc -l <"$folder/counts") tables and kinds of objects have as many rows as when they were backed up"
}

restore() {
  [[ ! "$restored" =~ .{64} ]] || fail "'$restored' is longer than the 63 characters that a name may have"
  case "$(state_of "$restored")" in
  "plinth.dev/restore $RESTORE_SUFFIX: whole" | "plinth.dev/restore $RESTORE_SUFFIX: in place")
    wait_for -p "nobody brings the backup" stream
    cat "$folder/stream" >/dev/null
    compare
    return
    ;;
  "plinth.dev/restore $RESTORE_SUFFIX: filling")
    echo "clears what an earlier run has left in database $restored"
    drop_of "$restored"
    ;;
  *) ! exists "$restored" || fail "there is a database $restored that no restore has made: look at what is in it" ;;
  esac
  # A server that came up empty, its volume lost, knows nobody yet.
  bash /etc/plinth/provision.sh
  NAME="$restored" query <<'SQL'
\getenv name NAME
\getenv owner CLAIM_USERNAME
SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', :'name', :'owner')
\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'name')
\gexec
SQL
  say_of "$restored" filling
  wait_for -p "nobody brings the backup" stream
  as_owner pg_restore --no-owner --no-privileges --exit-on-error --single-transaction --dbname="$restored" <"$folder/stream"
  wait_for -e "the backup did not come as a whole" whole
  compare
  if [[ "$RESTORE_DISCARD" == true ]]; then
    drop_of "$restored"
    echo "database $restored was whole and is gone again"
    return
  fi
  as_owner query <<<"SET client_min_messages = error; ANALYZE;"
  say_of "$restored" whole
  echo "restored into database $restored"
}

# Both names change at once, or neither does.
switch() {
  local kept="${CLAIM_DATABASE}_before_${RESTORE_SUFFIX#restored_}"
  [[ ! "$kept" =~ .{64} ]] || fail "'$kept' is longer than the 63 characters that a name may have"
  if [[ "$(state_of "$CLAIM_DATABASE")" == "plinth.dev/restore $RESTORE_SUFFIX: in place" ]]; then
    echo "an earlier run has put the restored database in place"
    return
  fi
  [[ "$(state_of "$restored")" == "plinth.dev/restore $RESTORE_SUFFIX: whole" ]] ||
    fail "there is no whole database $restored to put in place"
  KEPT="$kept" NAME="$restored" SAYS="plinth.dev/restore $RESTORE_SUFFIX: in place" query <<'SQL'
\getenv database CLAIM_DATABASE
\getenv name NAME
\getenv kept KEPT
\getenv says SAYS
SELECT format('ALTER DATABASE %I WITH ALLOW_CONNECTIONS false', :'database')
WHERE EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec
SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE datname IN (:'database', :'name')
\g /dev/null
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', :'database', :'kept')
WHERE EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec
SELECT format('ALTER DATABASE %I RENAME TO %I', :'name', :'database')
\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', :'database', :'says')
\gexec
COMMIT;
SQL
  echo "the restored database is $CLAIM_DATABASE now; what was there is kept as $kept, which takes no connections"
}

wait_for_server
"$1"
