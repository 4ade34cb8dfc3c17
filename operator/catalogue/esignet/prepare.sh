#!/usr/bin/env bash
# Does as the pod's own user what the image's entry point does with sudo: unpacks the PKCS#11 client that the image
# brings, and puts the chosen plugin where the loader looks. Nothing is downloaded.
set -euo pipefail

unzip -p /home/mosip/client.zip '*/libpkcs11-proxy.so.0.1' > /usr/local/lib/softhsm/libpkcs11-proxy.so
test -s /usr/local/lib/softhsm/libpkcs11-proxy.so
chmod 755 /usr/local/lib/softhsm/libpkcs11-proxy.so

plugin=${PLUGIN:-}
if [[ -n "$plugin" ]]; then
  cp "/home/mosip/plugins/$plugin" /home/mosip/additional_jars/
fi
echo "ready"
