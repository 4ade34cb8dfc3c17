#!/bin/sh
# Starts Redis. Options or a configuration file alone mean the server; anything else is run as it is.
set -eu

case "${1:-}" in
  -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "${1:-}" = redis-server ] && [ "$(id -u)" = 0 ]; then
  find . \! -user redis -exec chown redis:redis {} +
  exec setpriv --reuid=redis --regid=redis --init-groups -- "$0" "$@"
fi
# Data is the server's alone.
umask 077
exec "$@"
