#!/bin/bash
# shellcheck disable=SC2086 # options apart by blanks
exec /opt/java/bin/java ${KAFKA_HEAP_OPTS:--Xmx256m} -cp '/opt/kafka/libs/*' "$@"
