#!/bin/sh
# Makes the account and the buckets of one requirement, or adopts what is there. Running it again changes nothing but the
# secret key and the owner of the buckets: that is how a rotation takes effect.
set -eu

# What `versitygw admin` reads itself; without them it is refused and does not say why.
: "${ADMIN_ACCESS_KEY_ID:?}" "${ADMIN_SECRET_ACCESS_KEY:?}" "${ADMIN_REGION:?}"

attempt=0
until versitygw admin list-users >/dev/null 2>&1; do
  attempt=$((attempt + 1))
  if [ "$attempt" -ge 30 ]; then
    versitygw admin list-users
    exit 1
  fi
  echo "attempt $attempt: $ADMIN_ENDPOINT_URL does not answer yet"
  sleep 2
done

# The lists are tables, the name stands first.
listed() {
  versitygw admin "$1" | awk -v name="$2" '$1 == name { found = 1 } END { exit !found }'
}

if listed list-users "$CLAIM_ACCESS_KEY"; then
  versitygw admin update-user --access "$CLAIM_ACCESS_KEY" --secret "$CLAIM_SECRET_KEY"
else
  versitygw admin create-user --access "$CLAIM_ACCESS_KEY" --secret "$CLAIM_SECRET_KEY" --role user
fi

for bucket in $CLAIM_BUCKETS; do
  if listed list-buckets "$bucket"; then
    versitygw admin change-bucket-owner --bucket "$bucket" --owner "$CLAIM_ACCESS_KEY"
  else
    versitygw admin create-bucket --bucket "$bucket" --owner "$CLAIM_ACCESS_KEY"
  fi
  echo "bucket $bucket belongs to the requirement's account"
done
