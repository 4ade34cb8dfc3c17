#!/usr/bin/env bash
# Makes the role and the database of one requirement, or adopts what is there. Running it again changes nothing but
# the password, which is set to the Secret's: that is how a rotation takes effect.
set -euo pipefail
export PGCONNECT_TIMEOUT=5

for attempt in $(seq 1 30); do
  pg_isready --quiet && break
  echo "attempt $attempt: $PGHOST:$PGPORT does not accept connections yet"
  sleep 2
done

if [[ -z "$CLAIM_DATABASE" ]]; then
  # The requirement asks for the server, not for a database: a superuser makes its own.
  psql --no-psqlrc --quiet --command 'SELECT 1' >/dev/null
  echo "the server accepts connections"
  exit 0
fi

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --file /etc/plinth/provision.sql
echo "database $CLAIM_DATABASE belongs to $CLAIM_USERNAME"
