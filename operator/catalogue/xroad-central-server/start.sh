#!/usr/bin/env bash
# The image carries administrators with a password that everybody knows. Replace it before anything listens.
set -euo pipefail
for user in xrd xrd-sys; do
  if getent passwd "$user" >/dev/null; then
    echo "$user:$ADMIN_PASSWORD" | chpasswd
  fi
done
unset ADMIN_PASSWORD
exec /root/entrypoint.sh
