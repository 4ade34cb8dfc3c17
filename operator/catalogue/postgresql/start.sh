#!/usr/bin/env bash
# Starts the server with the Secret's password for the superuser. POSTGRES_PASSWORD counts when the data directory is made and
# never again, so that a new one is set here, in single-user mode: nobody can log in meanwhile, and what is cut off is done again
# at the next start.
set -euo pipefail

# What was set last, as a salted digest, with the data that knows it. Where nothing is new, the server starts as it always did,
# and a long recovery after a crash happens where the probes see its port.
known="$PGDATA/plinth-superuser"

digest() {
  printf '%s%s' "$1" "$POSTGRES_PASSWORD" | sha256sum | cut -d ' ' -f 1
}

is_set() {
  local salt digest
  [[ -s "$known" ]] && read -r salt digest <"$known" && [[ "$digest" == "$(digest "$salt")" ]]
}

# It may stand in no log, whatever the server's settings say.
set_password() {
  local quote="'" salt
  postgres --single -D "$PGDATA" -c exit_on_error=on -c standard_conforming_strings=on -c log_statement=none \
    -c log_min_duration_statement=-1 -c log_min_error_statement=panic postgres >/dev/null \
    <<<"ALTER ROLE \"$POSTGRES_USER\" PASSWORD '${POSTGRES_PASSWORD//$quote/$quote$quote}'"
  salt="$(</proc/sys/kernel/random/uuid)"
  (umask 077 && echo "$salt $(digest "$salt")" >"$known.new")
  mv "$known.new" "$known"
  echo "the superuser has the Secret's password"
}

# A folder that is being recovered or follows another server has no single-user mode; it is its own server's at a later start.
if [[ -s "$PGDATA/PG_VERSION" && ! -e "$PGDATA/standby.signal" && ! -e "$PGDATA/recovery.signal" ]] && ! is_set; then
  # As the image's entry point does: the server refuses a folder that its group may read and write.
  chmod 0700 "$PGDATA"
  # A shell that is the first process hears no signal unless it says so.
  trap 'exit 143' INT TERM
  set_password
fi
exec docker-entrypoint.sh "$@"
