#!/usr/bin/env bash
# Restores a dump into a database of its own beside the one that serves (`restore`), or puts that one in its place (`switch`).
# Both may be run again. What was restored is told by the rows of every table; the server's database `plinth` tells how far each
# restore is. Nothing that serves is written to but by `switch`, which keeps a copy first and counts its rows.
set -euo pipefail
source /etc/plinth/backup.sh

# The rows of a database as it is, in the same form.
counts_of() {
  local table
  query --execute="SELECT table_name FROM information_schema.tables
    WHERE table_schema = '$1' AND table_type = 'BASE TABLE'" | while read -r table; do
    printf '%s\t%s\n' "$table" "$(query --execute="SELECT count(*) FROM \`$1\`.\`$table\`")"
  done | LC_ALL=C sort
}

exists() {
  [[ "$(query --execute="SELECT count(*) FROM information_schema.schemata WHERE schema_name = '$1'")" == 1 ]]
}

# How far a database is that a restore has made; nothing where none has.
state_of() {
  query --execute="SELECT state FROM plinth.restores WHERE name = '$1'"
}

say_of() {
  query --execute="REPLACE INTO plinth.restores (name, state) VALUES ('$1', '$2')"
}

# Notes of what restores have made: a database cannot be written on.
prepare_notes() {
  query <<'SQL'
CREATE DATABASE IF NOT EXISTS plinth;
CREATE TABLE IF NOT EXISTS plinth.restores (name VARCHAR(64) NOT NULL PRIMARY KEY, state VARCHAR(64) NOT NULL);
SQL
}

# Fills a database anew with what comes in.
fill() {
  query --execute="DROP DATABASE IF EXISTS \`$1\`; CREATE DATABASE \`$1\`"
  query --database="$1"
}

same() {
  local different
  different=$(LC_ALL=C comm -3 "$1" <(counts_of "$2"))
  [[ -z "$different" ]] || fail "database $2 has other rows (left what it should have, indented what it has):"$'\n'"$different"
  echo "$(wc -l <"$1") tables of $2 have as many rows as they should"
}

# What the database is called that this restore fills.
restored="${CLAIM_DATABASE}_$RESTORE_SUFFIX"
for name in "$CLAIM_DATABASE" "$restored"; do
  [[ "$name" =~ ^[A-Za-z0-9_-]{1,64}$ ]] || fail "'$name' is no name: at most 64 letters, digits, _ and - only"
done

# What was restored beside is needed no more.
forget() {
  query --execute="DROP DATABASE IF EXISTS \`$restored\`; DELETE FROM plinth.restores WHERE name = '$restored'"
}

restore() {
  prepare_notes
  case "$(state_of "$restored")" in
  whole)
    wait_for -p "nobody brings the backup" stream
    cat "$folder/stream" >/dev/null
    same "$folder/counts" "$restored"
    return
    ;;
  filling) echo "clears what an earlier run has left in database $restored" ;;
  *) ! exists "$restored" || fail "there is a database $restored that no restore has made: look at what is in it" ;;
  esac
  # A server that came up empty, its volume lost, knows nobody yet.
  bash /etc/plinth/provision.sh
  say_of "$restored" filling
  wait_for -p "nobody brings the backup" stream
  fill "$restored" <"$folder/stream"
  wait_for -e "the backup did not come as a whole" whole
  same "$folder/counts" "$restored"
  if [[ "$RESTORE_DISCARD" == true ]]; then
    forget
    echo "database $restored was whole and is gone again"
    return
  fi
  say_of "$restored" whole
  echo "restored into database $restored"
}

# A database cannot be renamed here. What serves is copied and counted before it is emptied, and what was restored stays until
# it has been copied and counted as well: at every moment all of both is somewhere.
switch() {
  local kept="${CLAIM_DATABASE}_before_${RESTORE_SUFFIX#restored_}"
  [[ ! "$kept" =~ .{65} ]] || fail "'$kept' is longer than the 64 characters that a name may have"
  prepare_notes
  if [[ "$(state_of "$CLAIM_DATABASE")" == "$RESTORE_SUFFIX" ]]; then
    forget
    echo "an earlier run has put the restored database in place"
    return
  fi
  [[ "$(state_of "$restored")" == whole ]] || fail "there is no whole database $restored to put in place"
  if exists "$kept" && [[ -z "$(state_of "$kept")" ]]; then
    fail "there is a database $kept that no restore has made: look at what is in it"
  fi
  if exists "$CLAIM_DATABASE" && [[ "$(state_of "$kept")" != whole ]]; then
    say_of "$kept" filling
    taken "$CLAIM_DATABASE" | counted /tmp/rows | fill "$kept"
    sorted /tmp/rows /tmp/counts
    same /tmp/counts "$kept"
    say_of "$kept" whole
  fi
  taken "$restored" | counted /tmp/rows | fill "$CLAIM_DATABASE"
  sorted /tmp/rows /tmp/counts
  same /tmp/counts "$CLAIM_DATABASE"
  say_of "$CLAIM_DATABASE" "$RESTORE_SUFFIX"
  forget
  echo "the restored database is $CLAIM_DATABASE now; what was there is kept as $kept"
}

wait_for_server
"$1"
