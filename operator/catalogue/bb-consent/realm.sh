#!/bin/sh
# Waits for the realm. The API ends itself where Keycloak does not answer, and makes a realm with settings of its own where
# the realm is missing; therefore it starts only when the realm is there and issues tokens under the Stack's address.
set -eu
attempt=0
until realm=$(wget -q -O - "$DISCOVERY_URL"); do
  attempt=$((attempt + 1))
  if [ "$attempt" = 120 ]; then echo "$DISCOVERY_URL does not answer"; exit 1; fi
  sleep 5
done
case "$realm" in
  *"\"issuer\":\"$ISSUER\""*) ;;
  *) echo "the realm does not issue as $ISSUER"; exit 1 ;;
esac
