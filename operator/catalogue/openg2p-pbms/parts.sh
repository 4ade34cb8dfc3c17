#!/usr/bin/env bash
# Copies the HSM client and the authentication adapter out of the artifact server's image, in which upstream ships them.
# Upstream downloads both at every start and installs the client with sudo; here it stays in a folder of the pod, and the
# HSM configuration names it there.
set -euo pipefail
from=/usr/share/nginx/html/artifactory/libs-release-local
parts=/var/run/keymanager
mkdir -p "$parts/hsm" "$parts/jars"
unzip -o -q -j "$from/hsm/client.zip" -d "$parts/hsm"
mv "$parts/hsm/libpkcs11-proxy.so.0.1" "$parts/hsm/libpkcs11-proxy.so"
cp "$from/io/mosip/kernel/kernel-auth-adapter.jar" "$parts/jars/"
echo "client and adapter are in place"
