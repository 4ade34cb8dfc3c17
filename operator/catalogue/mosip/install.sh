#!/bin/sh
# Puts the stand-in for sudo where the image's entry point finds it first.
set -eu
cp /etc/plinth/sudo.sh /opt/plinth/bin/sudo
chmod 0755 /opt/plinth/bin/sudo
