#!/usr/bin/env bash
# Makes the role and the user of one requirement, or sets them to what the block asks for. Running it again changes
# nothing but rights and password: that is how a rotation takes effect.
set -euo pipefail
api="http://$SEARCH_HOST:$SEARCH_PORT/_plugins/_security/api"

ask() {
  curl --silent --show-error --fail --max-time 20 --user "admin:$ADMIN_PASSWORD" "$@"
}

for attempt in $(seq 1 40); do
  if ask --output /dev/null "$api/account"; then
    break
  fi
  if [[ "$attempt" == 40 ]]; then
    echo "$api does not answer"
    exit 1
  fi
  sleep 5
done

put() {
  ask --request PUT --header 'Content-Type: application/json' --data @- "$api/$1"
  echo
}

put "roles/$CLAIM_USERNAME" <<JSON
{"cluster_permissions":["*"],"index_permissions":[{"index_patterns":$CLAIM_INDICES,"allowed_actions":["*"]}]}
JSON
put "internalusers/$CLAIM_USERNAME" <<JSON
{"password":"$CLAIM_PASSWORD","opendistro_security_roles":["$CLAIM_USERNAME"]}
JSON
echo "the indices $CLAIM_INDICES are open to $CLAIM_USERNAME"
