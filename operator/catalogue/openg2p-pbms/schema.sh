#!/usr/bin/env bash
# Tables and key policies of the keymanager, in one transaction, from upstream's own definitions. Upstream's deploy.sh
# drops the database first, therefore it is not used. Where the tables are, nothing is done.
set -euo pipefail

for attempt in $(seq 1 30); do
  if present="$(psql -tAc "SELECT to_regclass('keymgr.key_alias') IS NOT NULL")"; then break; fi
  echo "attempt $attempt: $PGHOST:$PGPORT does not answer as $PGUSER"
  sleep 5
done
if [ "$present" = t ]; then
  echo "database $PGDATABASE has its tables"
  exit 0
fi

git init -q /tmp/source
git -C /tmp/source fetch -q --depth 1 "$SCHEMA_REPOSITORY" "$SCHEMA_REVISION"
git -C /tmp/source checkout -q FETCH_HEAD
cd /tmp/source/db_scripts/mosip_keymgr
{
  echo 'CREATE SCHEMA IF NOT EXISTS keymgr;'
  sed '/^\\c /d' ddl.sql dml.sql
  echo "ALTER DATABASE \"$PGDATABASE\" SET search_path TO keymgr, pg_catalog, public;"
} | psql -v ON_ERROR_STOP=1 --single-transaction
echo "database $PGDATABASE has its tables of $SCHEMA_REVISION"
