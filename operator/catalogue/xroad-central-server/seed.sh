#!/usr/bin/env bash
# Fills new volumes with what the image has in their places: pairs of a folder and the volume that will stand there.
# A volume that was filled before stays as it is.
set -euo pipefail
while (( $# > 1 )); do
  folder=$1 volume=$2
  shift 2
  if [[ -e "$volume/.filled" ]]; then
    echo "$volume was filled before"
    continue
  fi
  cp -a "$folder/." "$volume/"
  sync
  touch "$volume/.filled"
  echo "$volume holds what $folder had"
done
