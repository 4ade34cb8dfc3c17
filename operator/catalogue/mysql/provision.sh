#!/usr/bin/env bash
# Makes the user and the database of one requirement, or adopts what is there. Running it again changes nothing but
# the password, which is set to the Secret's: that is how a rotation takes effect.
set -euo pipefail

for name in "$CLAIM_DATABASE" "$CLAIM_USERNAME"; do
  if [[ ! "$name" =~ ^[A-Za-z0-9_]+$ ]]; then
    echo "'$name' is no name: letters, digits and _ only" >&2
    exit 1
  fi
done

client() {
  mysql --protocol=TCP --host="$SERVER_HOST" --port="$SERVER_PORT" --user=root --connect-timeout=5 --batch "$@"
}

for attempt in $(seq 1 30); do
  if answer="$(client --execute='SELECT 1' 2>&1)"; then break; fi
  echo "attempt $attempt: $SERVER_HOST:$SERVER_PORT: $answer"
  sleep 2
done

# In a GRANT, _ stands for any character unless escaped.
pattern="${CLAIM_DATABASE//_/\\_}"

client <<SQL
CREATE DATABASE IF NOT EXISTS \`$CLAIM_DATABASE\`;
CREATE USER IF NOT EXISTS '$CLAIM_USERNAME'@'%' IDENTIFIED BY '$CLAIM_PASSWORD';
ALTER USER '$CLAIM_USERNAME'@'%' IDENTIFIED BY '$CLAIM_PASSWORD';
GRANT ALL PRIVILEGES ON \`$pattern\`.* TO '$CLAIM_USERNAME'@'%';
SQL
echo "database $CLAIM_DATABASE belongs to $CLAIM_USERNAME"
