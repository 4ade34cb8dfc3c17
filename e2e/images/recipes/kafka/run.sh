#!/usr/bin/env bash
# Starts a broker. Kafka's own wrapper, in its jar, makes the settings of KAFKA_… variables and formats the storage that is
# not formatted yet; files in /mnt/shared/config come before the variables.
set -euo pipefail

: "${CLUSTER_ID:=5L6g3nShT-eMCtK--X86sw}"
export CLUSTER_ID
# At a restart it makes the settings and then fails, for the storage is formatted already; upstream's script lets that pass as well.
if ! said="$(/opt/kafka/bin/kafka-run-class.sh kafka.docker.KafkaDockerWrapper setup \
  --default-configs-dir /etc/kafka/docker \
  --mounted-configs-dir /mnt/shared/config \
  --final-configs-dir /opt/kafka/config 2>&1)"; then
  printf '%s\n' "$said" >&2
  grep --quiet 'already formatted' <<<"$said" || exit 1
fi
exec /opt/kafka/bin/kafka-server-start.sh /opt/kafka/config/server.properties
