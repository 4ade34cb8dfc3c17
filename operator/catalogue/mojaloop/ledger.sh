#!/bin/sh
# The seeds write the hub among the participants. Without its name they would take the image's own.
set -eu
: "${CLEDG_HUB_PARTICIPANT__NAME:?}"
exec sh "$1"
