#!/usr/bin/env bash
# The image brings users with passwords that everybody knows. They are replaced by one administrator before the security
# index is made from these files, which happens at the first start only.
set -euo pipefail
home=/usr/share/opensearch
hash=$(bash "$home/plugins/opensearch-security/tools/hash.sh" -env ADMIN_PASSWORD | tail -n 1)
cat >"$home/config/opensearch-security/internal_users.yml" <<YAML
_meta:
  type: internalusers
  config_version: 2
admin:
  hash: "$hash"
  reserved: true
  backend_roles:
    - admin
YAML
cp /etc/plinth/opensearch.yml "$home/config/opensearch.yml"
# Certificates must lie under the configuration folder.
install -m 0600 /etc/plinth-node/node.key "$home/config/node.key"
install -m 0600 /etc/plinth-node/node.pem "$home/config/node.pem"
cd "$home"
exec ./opensearch-docker-entrypoint.sh opensearch
