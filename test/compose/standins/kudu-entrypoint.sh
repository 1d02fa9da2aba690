#!/bin/bash
# Stands in for the entry point of apache/kudu: the same commands, variables and
# order of flags, of which the last counts.
set -euo pipefail
KUDU_MASTERS=${KUDU_MASTERS:-}
wal=${FS_WAL_DIR:-${DATA_DIR:-/var/lib/kudu}/${1:-}}
defaults=(--fs_wal_dir="$wal" --fs_data_dirs="${FS_DATA_DIRS:-$wal}" --webserver_doc_root=/opt/kudu/www
  --stderrthreshold=0 --use_hybrid_clock=false)
for host in ${KUDU_MASTERS//,/ }; do
  for _ in 1 2 3 4 5; do getent hosts "${host%:*}" >/dev/null && break; sleep 2; done
done
case ${1:-} in
master)
  mkdir -p "$wal"
  # shellcheck disable=SC2086 # flags apart by blanks
  exec kudu master run "${defaults[@]}" ${KUDU_MASTERS:+--master_addresses=$KUDU_MASTERS} ${MASTER_ARGS:-}
  ;;
tserver)
  mkdir -p "$wal"
  # shellcheck disable=SC2086
  exec kudu tserver run "${defaults[@]}" --tserver_master_addrs="${KUDU_MASTERS:-localhost}" ${TSERVER_ARGS:-}
  ;;
esac
exec "$@"
