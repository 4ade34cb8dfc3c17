#!/usr/bin/env bash
# Makes the user and the databases of one requirement, or adopts what is there; nothing is dropped or taken away. Running
# it again changes nothing but the password, which is set to the Secret's: that is how a rotation takes effect.
set -euo pipefail

# A requirement with `databases` has those too, separated by spaces.
read -r -a more <<<"${CLAIM_DATABASES:-}"
databases=("$CLAIM_DATABASE" "${more[@]}")

for name in "${databases[@]}" "$CLAIM_USERNAME"; do
  if [[ ! "$name" =~ ^[A-Za-z0-9_-]+$ ]]; then
    echo "'$name' is no name: letters, digits, _ and - only" >&2
    exit 1
  fi
done
for name in "${databases[@]}"; do
  case "${name,,}" in
    mysql | sys | information_schema | performance_schema)
      echo "'$name' is the server's own database" >&2
      exit 1
      ;;
  esac
done

client() {
  mysql --protocol=TCP --host="$SERVER_HOST" --port="$SERVER_PORT" --user=root --connect-timeout=5 --batch "$@"
}

for attempt in $(seq 1 30); do
  if answer="$(client --execute='SELECT 1' 2>&1)"; then break; fi
  echo "attempt $attempt: $SERVER_HOST:$SERVER_PORT: $answer"
  sleep 2
done

client <<SQL
CREATE USER IF NOT EXISTS '$CLAIM_USERNAME'@'%' IDENTIFIED BY '$CLAIM_PASSWORD';
ALTER USER '$CLAIM_USERNAME'@'%' IDENTIFIED BY '$CLAIM_PASSWORD';
SQL
for database in "${databases[@]}"; do
  # In a GRANT, _ stands for any character unless escaped.
  client <<SQL
CREATE DATABASE IF NOT EXISTS \`$database\`;
GRANT ALL PRIVILEGES ON \`${database//_/\\_}\`.* TO '$CLAIM_USERNAME'@'%';
SQL
  echo "database $database belongs to $CLAIM_USERNAME"
done
