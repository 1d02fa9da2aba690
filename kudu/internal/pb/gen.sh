#!/usr/bin/env bash
# Regenerates the Go code of the protocol messages. Needs protoc 3.21+ and
# protoc-gen-go v1.36 on the PATH.
set -euo pipefail
cd "$(dirname "$0")"
protoc -I . --go_out=. --go_opt=paths=source_relative ./*.proto
