#!/usr/bin/env bash
# Makes the schema, or brings it to the modules that are wanted, then does what only the running application may do.
# Running it again changes nothing but the administrator's password, which is set to the Secret's.
set -euo pipefail

for attempt in $(seq 1 3); do
  if odoo --database "$DATABASE" --init "base,$MODULES" --stop-after-init --no-http; then break; fi
  echo "attempt $attempt: the schema could not be made"
  [[ "$attempt" == 3 ]] && exit 1
  sleep 10
done

odoo shell --database "$DATABASE" --no-http < /etc/plinth/setup/setup.py
echo "modules $MODULES are installed"
