#!/usr/bin/env bash
# Waits until the primary's ssh and the database accept connections; the image's own loop says nothing about either.
set -euo pipefail

reachable() {
  timeout 5 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
}

until reachable "$PRIMARY_HOST" "$PRIMARY_PORT"; do
  echo "waiting for the primary, $PRIMARY_HOST:$PRIMARY_PORT"
  sleep 5
done
until reachable "$SERVERCONF_HOST" "$SERVERCONF_PORT"; do
  echo "waiting for the database, $SERVERCONF_HOST:$SERVERCONF_PORT"
  sleep 5
done
