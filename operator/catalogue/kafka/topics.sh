#!/usr/bin/env bash
# Makes the topics that do not exist yet. Existing ones are left as they are.
set -euo pipefail
kafka_topics() {
  /opt/kafka/bin/kafka-topics.sh --bootstrap-server "$BOOTSTRAP" "$@"
}

existing=""
for attempt in $(seq 1 20); do
  if existing="$(kafka_topics --list)"; then break; fi
  echo "attempt $attempt: $BOOTSTRAP does not answer yet"
  sleep 3
  [[ "$attempt" == 20 ]] && exit 1
done

for topic in $TOPICS; do
  if grep -qxF -- "$topic" <<<"$existing"; then
    echo "$topic exists"
    continue
  fi
  kafka_topics --create --if-not-exists --topic "$topic" --partitions "$PARTITIONS" --replication-factor 1
done
