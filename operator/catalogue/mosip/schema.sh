#!/bin/bash
# Makes the tables of one database from the mirror of the module's repository, all or nothing. What exists is left alone:
# upstream's own deploy.sh drops the database first.
set -euo pipefail

if [ "$(psql -tAc "SELECT 1 FROM pg_namespace WHERE nspname = '$SCHEMA'")" = 1 ]; then
  echo "schema $SCHEMA exists"
  exit 0
fi

git clone --quiet --depth 1 --branch "$TAG" "$MIRROR/$REPOSITORY.git" source
cd "source/db_scripts/$FOLDER"

# The connection stays the one to the claimed database, for one transaction.
sed -i '/^[[:space:]]*\\c[[:space:]]/d' ./*.sql
files=(-f ddl.sql)
if [ -f grants.sql ]; then files+=(-f grants.sql); fi
if [ "$WITH_DATA" = 1 ]; then files+=(-f dml.sql); fi
psql --single-transaction -v ON_ERROR_STOP=1 \
  -c "CREATE SCHEMA $SCHEMA" \
  -c "ALTER DATABASE $PGDATABASE SET search_path TO $SCHEMA, pg_catalog, public" \
  -c "SET search_path TO $SCHEMA, pg_catalog, public" \
  "${files[@]}"
