#!/usr/bin/env bash
# Brings the keymanager's settings from the mirror that the Stack names, at one revision.
set -euo pipefail
git init -q /tmp/settings
git -C /tmp/settings fetch -q --depth 1 "$CONFIG_REPOSITORY" "$CONFIG_REVISION"
git -C /tmp/settings checkout -q FETCH_HEAD
mkdir -p /var/run/keymanager/config
cp /tmp/settings/application-default.properties /tmp/settings/kernel-default.properties /var/run/keymanager/config/
echo "settings $CONFIG_REVISION are in place"
