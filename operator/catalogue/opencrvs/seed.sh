#!/bin/sh
# Brings the country's locations and users in. That ends the superuser's account, so that it can be done only once: where
# the superuser may no longer log in, there is nothing left to do.
set -eu
: "${COUNTRY_CONFIG_HOST:?}" "${ACTIVATE_USERS:?}"

code=0
node /etc/plinth/superuser.js || code=$?
case "$code" in
  0) exec yarn seed ;;
  10) echo "the superuser may not log in any more: the data is there already" ;;
  *) exit 1 ;;
esac
