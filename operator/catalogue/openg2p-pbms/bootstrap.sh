#!/usr/bin/env bash
# Installs the first modules into an empty database and gives the administrator a login of its own, before the server
# starts for the first time. Where that was done, nothing is done.
set -euo pipefail

for attempt in $(seq 1 60); do
  if tables="$(psql -tAc "SELECT to_regclass('public.ir_config_parameter') IS NOT NULL")"; then break; fi
  echo "attempt $attempt: $PGHOST:$PGPORT does not answer as $PGUSER"
  sleep 5
done
if [ "$tables" = t ] && [ "$(psql -tAc "SELECT count(*) FROM ir_config_parameter WHERE key = 'plinth.bootstrap'")" = 1 ]; then
  echo "database $PGDATABASE is ready"
  exit 0
fi

odoo --config=/etc/odoo/odoo.conf --init="base,auth_oauth,$FIRST_MODULES" --without-demo=all --stop-after-init --no-http
odoo shell --config=/etc/odoo/odoo.conf --no-http < /etc/plinth/administrator.py
echo "database $PGDATABASE has modules $FIRST_MODULES"
