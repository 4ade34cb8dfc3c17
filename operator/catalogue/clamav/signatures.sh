#!/bin/sh
# The signatures that the image was published with, for a volume that has none: the first start needs no internet.
set -eu
if [ -f /signatures/main.cvd ] || [ -f /signatures/main.cld ]; then
  echo "the volume has signatures"
  exit 0
fi
cp /var/lib/clamav/*.c?d /signatures/
echo "the volume has the signatures of the image"
