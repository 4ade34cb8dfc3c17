#!/usr/bin/env bash
# Makes the tables and the reference data that openIMIS's migrations stand on, from the scripts in openIMIS's own database
# image. All of it or nothing; where the tables are there already, nothing.
set -euo pipefail
export PGCONNECT_TIMEOUT=5
scripts=/docker-entrypoint-initdb.d
extension=$(dirname "$(ls /usr/local/share/postgresql/extension/postgres-json-schema.control)")

if [[ -n "$(psql --no-psqlrc --tuples-only --no-align --command "SELECT to_regclass('public.\"tblRole\"')")" ]]; then
  echo "the tables are there"
  exit 0
fi

version=$(sed -n "s/^default_version *= *'\([^']*\)'.*/\1/p" "$extension/postgres-json-schema.control")
{
  # The extension's functions, as functions of the database's owner: making an extension needs a superuser.
  sed -e '/^\\/d' -e 's/@extschema@/public/g' "$extension/postgres-json-schema--$version.sql"
  for script in "$scripts"/0*.sql; do
    echo 'RESET ALL;'
    # Without what ends the transaction, and without the comment on what belongs to the superuser.
    sed -E -e '/^(BEGIN|COMMIT|START TRANSACTION)( TRANSACTION| WORK)?;[[:space:]]*$/d' -e '/^COMMENT ON EXTENSION /d' "$script"
  done
} | psql --no-psqlrc --quiet --single-transaction --set ON_ERROR_STOP=1 --output /dev/null --file -
echo "the tables are made"
