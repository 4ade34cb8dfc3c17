#!/usr/bin/env bash
# Starts PostgreSQL, and makes its data folder first where there is none. Variables, as of the upstream image: PGDATA,
# POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB, POSTGRES_INITDB_ARGS. Anything else than the server is run as it is.
set -euo pipefail

[[ "${1:-}" != -* ]] || set -- postgres "$@"
[[ "${1:-}" == postgres ]] || exec "$@"

if [[ "$(id -u)" == 0 ]]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA" /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

# Made in a folder inside, then moved out of it, PG_VERSION last: who is killed in between begins again.
making="$PGDATA/.making"

make_data_folder() {
  : "${POSTGRES_PASSWORD:?the password of the superuser, for the first start}"
  local user="${POSTGRES_USER:-postgres}" database="${POSTGRES_DB:-${POSTGRES_USER:-postgres}}" arguments
  if [[ -e "$making" ]]; then
    echo "an earlier start did not finish making $PGDATA; begins again"
    find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
  fi
  read -r -a arguments <<<"${POSTGRES_INITDB_ARGS:-}"
  initdb --pgdata="$making" --username="$user" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
    --auth-local=trust --auth-host=scram-sha-256 "${arguments[@]}"
  echo "host all all all scram-sha-256" >>"$making/pg_hba.conf"
  sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" "$making/postgresql.conf"
  if [[ "$database" != postgres ]]; then
    postgres --single -D "$making" template1 <<<"CREATE DATABASE \"${database//\"/\"\"}\""
  fi
  find "$making" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$PGDATA" {} +
  mv "$making/PG_VERSION" "$PGDATA"
}

mkdir -p "$PGDATA"
chmod 0700 "$PGDATA"
[[ -s "$PGDATA/PG_VERSION" ]] || make_data_folder
rm -rf "$making"
exec "$@"
