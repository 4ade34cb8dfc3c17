#!/usr/bin/env bash
# Starts FerretDB in the name of mongod, and the PostgreSQL that it keeps everything in, which listens to nobody else. Variables, as of
# the upstream image: MONGO_INITDB_ROOT_USERNAME, MONGO_INITDB_ROOT_PASSWORD. Of mongod's flags --port and --bind_ip are heard;
# those of its engine mean nothing here. Anything else than the server is run as it is.
set -euo pipefail

[[ "${1:-}" != -* ]] || set -- mongod "$@"
[[ "${1:-}" == mongod ]] || exec "$@"

if [[ "$(id -u)" == 0 ]]; then
  chown -R mongodb:mongodb /data/db
  exec setpriv --reuid=mongodb --regid=mongodb --init-groups -- "$0" "$@"
fi
shift

port=27017 address=0.0.0.0
while [[ $# -gt 0 ]]; do
  flag="${1%%=*}" value="${1#*=}"
  if [[ "$1" != *=* && $# -gt 1 && "$2" != -* ]]; then value="$2"; shift; fi
  case "$flag" in
    --port) port="$value" ;;
    --bind_ip) address="${value%%,*}" ;;
    --bind_ip_all) address=0.0.0.0 ;;
    --wiredTigerCacheSizeGB) echo "$flag: FerretDB has no such cache; left out" ;;
    *) echo "$flag: not known to this image: --port, --bind_ip, --bind_ip_all, --wiredTigerCacheSizeGB" >&2; exit 2 ;;
  esac
  shift
done

data=/data/db/postgresql sockets="${TMPDIR:-/tmp}"
mkdir -p "$data"
chmod 0700 "$data"
# What runs inherits it, so that the last to end lets it go: a second server never touches these files.
exec 9>/data/db/ferretdb.lock
flock --nonblock 9 || { echo "another server has /data/db" >&2; exit 1; }

# Made in a folder inside, then moved out of it, PG_VERSION last: who is killed in between begins again.
making="$data/.making"
if [[ ! -s "$data/PG_VERSION" ]]; then
  find "$data" -mindepth 1 -delete
  initdb --pgdata="$making" --username=mongodb --encoding=UTF8 --auth=trust
  postgres --single -D "$making" template1 <<<"CREATE DATABASE ferretdb"
  find "$making" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -exec mv -t "$data" {} +
  mv "$making/PG_VERSION" "$data"
fi
rm -rf "$making"
# The lock above says that nobody runs, whatever number a killed server had.
rm -f "$data/postmaster.pid"

postgres -D "$data" -c listen_addresses= -c unix_socket_permissions=0700 -c unix_socket_directories="$sockets" &
database=$!
until pg_isready --quiet --host="$sockets"; do
  kill -0 "$database"
  sleep 0.2
done

user=()
if [[ -n "${MONGO_INITDB_ROOT_USERNAME:-}" ]]; then
  : "${MONGO_INITDB_ROOT_PASSWORD:?the password of $MONGO_INITDB_ROOT_USERNAME}"
  export FERRETDB_SETUP_PASSWORD="$MONGO_INITDB_ROOT_PASSWORD"
  user=(--test-enable-new-auth --setup-database=admin --setup-username="$MONGO_INITDB_ROOT_USERNAME")
fi
ferretdb --listen-addr="$address:$port" --postgresql-url="postgres://mongodb@localhost/ferretdb?host=$sockets" \
  --state-dir=/data/db --debug-addr=- --telemetry=disable "${user[@]}" &
server=$!

# Clients first, then what they wrote to; a fast stop is a whole one. Without either of the two the other is nothing.
trap 'kill -TERM "$server" 2>/dev/null || true' TERM INT
code=0
wait -n "$server" "$database" || code=$?
kill -TERM "$server" 2>/dev/null || true
wait "$server" || true
kill -INT "$database" 2>/dev/null || true
wait "$database" || true
exit "$code"
