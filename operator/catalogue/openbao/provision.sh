#!/bin/sh
# Makes the key-value store, the policy and the token of one requirement. Running it again changes nothing that is right.
set -eu

attempt=0
until bao status >/dev/null 2>&1; do
  attempt=$((attempt + 1))
  if [ "$attempt" -gt 30 ]; then
    echo "$BAO_ADDR is sealed, or does not answer"
    exit 1
  fi
  sleep 2
done

BAO_TOKEN=$(printf '%s' "$PROVISIONER_PASSWORD" |
  bao write -field=token "auth/userpass/login/$PROVISIONER_USERNAME" password=-)
export BAO_TOKEN

if bao read -format=json sys/mounts | grep -q "\"$CLAIM_MOUNT/\""; then
  echo "store $CLAIM_MOUNT was there"
else
  bao write "sys/mounts/$CLAIM_MOUNT" - <<JSON
{ "type": "kv", "options": { "version": "2" } }
JSON
fi

bao policy write "claim-$CLAIM_NAME" - <<POLICY
path "$CLAIM_MOUNT/*" { capabilities = ["create", "read", "update", "delete", "list"] }
POLICY

if BAO_TOKEN=$CLAIM_TOKEN bao token lookup >/dev/null 2>&1; then
  echo "the token of $CLAIM_NAME was there"
else
  bao write auth/token/create-orphan - >/dev/null <<JSON
{ "id": "$CLAIM_TOKEN", "policies": ["claim-$CLAIM_NAME"], "display_name": "$CLAIM_NAME", "ttl": "87600h", "renewable": false }
JSON
  echo "the token of $CLAIM_NAME opens $CLAIM_MOUNT"
fi
