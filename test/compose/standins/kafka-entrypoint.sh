#!/bin/bash
# Stands in for the entry point of apache/kafka: KAFKA_NODE_ID is the setting node.id,
# and so on; the folder of data is formatted at the first start.
set -euo pipefail
settings=/tmp/server.properties
env | sed -nE 's/^(KAFKA_[A-Z0-9_]+)=(.*)$/\1 \2/p' | while read -r name value; do
  case $name in KAFKA_HEAP_OPTS | KAFKA_OPTS | KAFKA_JVM_PERFORMANCE_OPTS | KAFKA_LOG4J_OPTS) continue ;; esac
  key=${name#KAFKA_}
  key=${key,,}
  echo "${key//_/.}=$value"
done > "$settings"
export KAFKA_HEAP_OPTS=${KAFKA_HEAP_OPTS:--Xmx1g}
/opt/kafka/bin/run-class kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" -c "$settings" >/dev/null
exec /opt/kafka/bin/run-class kafka.Kafka "$settings"
