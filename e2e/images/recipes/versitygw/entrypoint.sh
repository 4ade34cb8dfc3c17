#!/bin/sh
# Starts the gateway: with arguments, the binary with them; without, the back end VGW_BACKEND over VGW_BACKEND_ARG. Anything
# that is a program of the image is run as it is.
set -eu

if [ "$#" -gt 0 ]; then
  if command -v -- "$1" >/dev/null; then exec "$@"; fi
  exec versitygw "$@"
fi
: "${VGW_BACKEND:?the back end, such as posix}"
exec versitygw "$VGW_BACKEND" ${VGW_BACKEND_ARG:+"$VGW_BACKEND_ARG"}
