#!/usr/bin/env bash
# Runs a class of Kafka: the first argument, or the one that this script's name stands for. Variables, as upstream:
# KAFKA_HEAP_OPTS, KAFKA_OPTS, KAFKA_JVM_PERFORMANCE_OPTS, KAFKA_LOG4J_OPTS, LOG_DIR, CLASSPATH.
set -euo pipefail

home=/opt/kafka
settings=tools-log4j.properties
heap=-Xmx256M
case "$(basename "$0")" in
  kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
  kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
  kafka-get-offsets.sh) class=org.apache.kafka.tools.GetOffsetShell ;;
  kafka-storage.sh) class=kafka.tools.StorageTool ;;
  kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
  kafka-server-start.sh)
    class=kafka.Kafka
    settings=log4j.properties
    heap="-Xms1G -Xmx1G"
    ;;
  *)
    class="${1:?the class to run}"
    shift
    ;;
esac

logs="${LOG_DIR:-$home/logs}"
mkdir -p "$logs"
# The image's settings of the log, where no start has made others yet.
log4j="$home/config/$settings"
[[ -e "$log4j" ]] || log4j="/etc/kafka/docker/$settings"
read -r -a options <<<"${KAFKA_HEAP_OPTS:-$heap} ${KAFKA_JVM_PERFORMANCE_OPTS:--server -XX:+UseG1GC -Djava.awt.headless=true} \
-Dkafka.logs.dir=$logs ${KAFKA_LOG4J_OPTS:--Dlog4j.configuration=file:$log4j} ${KAFKA_OPTS:-}"
exec java "${options[@]}" -cp "${CLASSPATH:+$CLASSPATH:}$home/libs/*" "$class" "$@"
