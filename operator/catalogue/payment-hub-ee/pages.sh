#!/bin/sh
# Copies the pages out of upstream's image, whose own start needs root, and writes what the browser must know. The
# client is a public one: nothing here is secret.
set -eu
cp -r /usr/share/nginx/html/. /site/
export PH_AUTH_ENABLED=true PH_OAUTH_ENABLED=true PH_OAUTH_TYPE=keycloak
export PH_OAUTH_SERVER_URL="${ISSUER%/realms/*}" PH_OAUTH_REALM="${ISSUER##*/realms/}"
export PH_OAUTH_CLIENT_ID=opsapp PH_OAUTH_CLIENT_SECRET= PH_OAUTH_BASIC_AUTH=false PH_OAUTH_BASIC_AUTH_TOKEN=
envsubst < /usr/share/nginx/html/assets/env.template.js > /site/assets/env.js
