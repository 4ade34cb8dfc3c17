#!/bin/sh
# Brings the Kafka exporter from the mirror that the Stack names, and keeps it only if it is the file that was meant.
set -eu
case "$JAR_SHA256" in
  *[!0-9a-f]*|'') echo "exporterSha256 must be a digest in lower-case hexadecimal" >&2; exit 1 ;;
esac
wget -q -O /exporters/fetched "$JAR_URL"
echo "$JAR_SHA256  /exporters/fetched" | sha256sum -c -
mv /exporters/fetched /exporters/ph-ee-kafka-exporter.jar
