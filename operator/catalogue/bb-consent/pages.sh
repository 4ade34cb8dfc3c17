#!/bin/sh
# Copies the pages out of upstream's image, whose own start needs root, and puts their settings beside them.
set -eu
cp -r /usr/share/nginx/html/. /site/
mkdir -p /site/config
cp /etc/plinth/config.json /site/config/config.json
