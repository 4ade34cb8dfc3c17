#!/usr/bin/env bash
# Makes the role and the user of one requirement, or sets them to what the block asks for. Running it again changes
# nothing but rights and password: that is how a rotation takes effect.
set -euo pipefail
server="http://$SEARCH_HOST:$SEARCH_PORT"

ask() {
  curl --silent --show-error --fail-with-body --max-time 20 --user "elastic:$ELASTIC_PASSWORD" "$@"
}

for attempt in $(seq 1 40); do
  if ask --output /dev/null "$server/_cluster/health?wait_for_status=yellow&timeout=5s"; then
    break
  fi
  if [[ "$attempt" == 40 ]]; then
    echo "$server does not answer"
    exit 1
  fi
  sleep 5
done

ask --request PUT --header 'Content-Type: application/json' --data @- "$server/_security/role/$CLAIM_USERNAME" <<JSON
{"cluster":["manage"],"indices":[{"names":$CLAIM_INDICES,"privileges":["all"]}]}
JSON
echo
ask --request PUT --header 'Content-Type: application/json' --data @- "$server/_security/user/$CLAIM_USERNAME" <<JSON
{"password":"$CLAIM_PASSWORD","roles":["$CLAIM_USERNAME"]}
JSON
echo
echo "the indices $CLAIM_INDICES are open to $CLAIM_USERNAME"
