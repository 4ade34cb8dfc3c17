#!/usr/bin/env bash
# Makes the database and the user of one requirement, or adopts what is there. Running it again changes nothing but the
# password, which is set to the Secret's: that is how a rotation takes effect.
set -euo pipefail

run() {
  influx -host "$SERVER_HOST" -port "$SERVER_PORT" -username "$INFLUX_USERNAME" -password "$INFLUX_PASSWORD" -execute "$1"
}

for attempt in $(seq 1 30); do
  if run 'SHOW DATABASES' >/dev/null; then
    break
  fi
  if [[ "$attempt" == 30 ]]; then
    echo "$SERVER_HOST:$SERVER_PORT does not answer"
    exit 1
  fi
  sleep 2
done

run "CREATE DATABASE \"$CLAIM_DATABASE\""
if run 'SHOW USERS' | grep -qw -- "$CLAIM_USERNAME"; then
  run "SET PASSWORD FOR \"$CLAIM_USERNAME\" = '$CLAIM_PASSWORD'"
else
  run "CREATE USER \"$CLAIM_USERNAME\" WITH PASSWORD '$CLAIM_PASSWORD'"
fi
run "GRANT ALL ON \"$CLAIM_DATABASE\" TO \"$CLAIM_USERNAME\""
echo "database $CLAIM_DATABASE is open to $CLAIM_USERNAME"
