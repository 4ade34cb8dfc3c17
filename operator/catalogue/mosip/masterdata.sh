#!/bin/sh
# Fills the master data from the country's mirror of mosip-data; the image's own entry point names github.com.
set -eu

git clone --quiet --depth 1 --branch "$BRANCH" "$MIRROR/mosip-data.git" mosip-data
data=$PWD/mosip-data/mosip_master/xlsx
cd /home/mosip/lib
echo "filling $DB_NAME"
exec python upload_masterdata.py "$DB_HOST" "$DB_PASSWORD" admin "$data" \
  --db_user="$DB_USER" --db_port="$DB_PORT" --tables_file table_order
