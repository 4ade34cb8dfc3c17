#!/usr/bin/env bash
# Makes the tables of one database, in one transaction, as the user that owns it. Connection by the PG variables.
set -euo pipefail
export PGCONNECT_TIMEOUT=5

for attempt in $(seq 1 30); do
  pg_isready --quiet && break
  echo "attempt $attempt: $PGHOST:$PGPORT does not accept connections yet"
  sleep 2
done

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --single-transaction --file /etc/plinth/schema.sql
echo "database $PGDATABASE has the tables"
