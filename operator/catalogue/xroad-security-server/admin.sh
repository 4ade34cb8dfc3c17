#!/usr/bin/env bash
# Before each start: the certificate of the administration's port, in the three forms in which the server reads it, and settings
# that stand above the image's own.
set -euo pipefail
given=$1 folder=$2 name=$3
mkdir -p "$folder/ssl" "$folder/conf.d"
cp "$given/tls.crt" "$folder/ssl/$name.crt"
cp "$given/tls.key" "$folder/ssl/$name.key"
openssl pkcs12 -export -in "$given/tls.crt" -inkey "$given/tls.key" -name "$name" -out "$folder/ssl/$name.p12" -passout "pass:$name"
cp "$given/override-plinth.ini" "$folder/conf.d/override-plinth.ini"
chown xroad:xroad "$folder"/ssl/"$name".* "$folder/conf.d/override-plinth.ini"
chmod 660 "$folder"/ssl/"$name".*
