#!/bin/bash
# Tries docker-compose.yml and the Dockerfile on a Docker engine: from nothing to rows
# in the topic, kills, another user, Kafka and Kudu that come late, Prometheus; and at
# the end each row of the table once in the topic. Then again with three tablet servers,
# of which one is killed. It prints what it measures, and fails with the first thing that
# isn't as it must be.
#
#   test/compose/run.sh              takes about 2 GB of disk and some minutes
#   K2K_STANDINS=1 test/compose/run.sh
#
# An engine that runs is used as it is; else one is started for the time of the test
# (needs root, and Debian's docker.io, which is installed if it is missing). Images
# that can't be pulled are built as stand-ins of the same names, from Debian packages,
# this machine's Java and Go, and Kudu's and Kafka's own programs from Maven;
# K2K_STANDINS=1 doesn't even try to pull. What can be used again is kept in
# K2K_CACHE_DIR (~/.cache/kudu2kafka). Everything else that is made is removed.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
cache=${K2K_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kudu2kafka}/compose
compose_version=v2.29.7
work=$(mktemp -d)
engine=            # process of the engine that was started here
up=                # the project may have containers
made=()            # images that were built here
began=$SECONDS
mkdir -p "$cache"

say() { printf '%4ds  %s\n' $((SECONDS - began)) "$*"; }
fail() {
  say "FAILED: $*"
  if [ -n "$up" ]; then
    compose ps -a || true
    compose logs --no-color --tail 40 kudu2kafka sample-table sample-writer || true
  fi
  exit 1
}
# await SECONDS WHAT COMMAND...: until the command succeeds.
await() {
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || fail "$what did not come about: $*"
    sleep 0.5
  done
}

clean() {
  trap - EXIT INT TERM
  if [ -n "$up" ]; then compose --profile '*' down -v --timeout 15 >"$work/down.log" 2>&1 || cat "$work/down.log"; fi
  if [ -n "$engine" ]; then
    kill "$engine" 2>/dev/null && wait "$engine" 2>/dev/null || true
    for dir in $(grep -oE " $work/[^ ]+" /proc/mounts | sort -r); do umount "$dir" || true; done
  elif [ ${#made[@]} -gt 0 ]; then
    docker rmi "${made[@]}" >/dev/null || true
  fi
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM
trap 'say "line $LINENO ended with $?: $BASH_COMMAND"' ERR

# --- engine and Compose

need_package() { # program package
  command -v "$1" >/dev/null && return
  [ "$(id -u)" = 0 ] || fail "$1 is missing: install $2"
  say "installing $2"
  apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$2" >/dev/null 2>&1
}

if ! docker info >/dev/null 2>&1; then
  [ "$(id -u)" = 0 ] || fail "no Docker engine answers, and starting one takes root"
  need_package dockerd docker.io
  need_package iptables iptables
  need_package docker docker.io
  export DOCKER_HOST=unix://$work/docker.sock
  dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" -H "$DOCKER_HOST" >"$work/dockerd.log" 2>&1 &
  engine=$!
  await 60 "the engine" docker info
fi
compose_program=$cache/docker-compose-$compose_version
if [ ! -x "$compose_program" ]; then
  say "building Compose $compose_version"
  GOFLAGS=-mod=mod GOBIN=$work/bin go install "github.com/docker/compose/v2/cmd@$compose_version" 2>"$work/compose.log" || fail "$(tail -3 "$work/compose.log")"
  mv "$work/bin/cmd" "$compose_program"
fi
# Nothing here types into a container, and none may wait for it.
compose() { timeout 300 "$compose_program" --project-name k2ktest --project-directory "$root" -f "$root/docker-compose.yml" "$@" </dev/null; }
say "engine $(docker version -f '{{.Server.Version}}'), Compose $compose_version"

# --- the file, with all profiles

for profile in none replicated monitoring ui '*'; do
  compose --profile "$profile" config --quiet || fail "docker compose config with profile $profile"
done
all=$(compose --profile '*' config --services | wc -l)
[ "$all" = 11 ] || fail "$all services with all profiles, want 11"
say "docker compose config is fine with every profile; $all services"

# --- images

standin() { # image, folder with its files: builds it
  cp test/compose/standins/* "$2"
  DOCKER_BUILDKIT=0 docker build -q -t "$1" -f "$2/Dockerfile.$3" "$2" >/dev/null 2>"$work/build.log" || fail "stand-in $1: $(tail -3 "$work/build.log")"
  made+=("$1")
}
base() {
  docker image inspect kudu2kafka-standin-base >/dev/null 2>&1 && return
  if [ ! -f "$cache/base.tar" ]; then
    need_package debootstrap debootstrap
    say "making a Debian base with debootstrap"
    debootstrap --variant=minbase --include=ca-certificates,libkeyutils1 bookworm "$work/rootfs" >"$work/debootstrap.log" 2>&1 || fail "$(tail -3 "$work/debootstrap.log")"
    rm -rf "$work"/rootfs/var/cache/apt/* "$work"/rootfs/var/lib/apt/lists/* "$work"/rootfs/usr/share/{doc,man,locale}
    tar -C "$work/rootfs" --one-file-system -cf "$work/base.tar" .
    mv "$work/base.tar" "$cache/base.tar"
    rm -rf "$work/rootfs"
  fi
  docker import "$cache/base.tar" kudu2kafka-standin-base >/dev/null
  made+=(kudu2kafka-standin-base)
}
maven() { mvn -q "$@" >"$work/maven.log" 2>&1 || fail "Maven: $(tail -3 "$work/maven.log")"; }

standin_kudu() { # version
  if [ ! -d "$cache/kudu-$1" ]; then
    maven org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy "-Dartifact=org.apache.kudu:kudu-binary:$1:jar:linux-x86_64" "-DoutputDirectory=$work/kudu-jar"
    (cd "$work/kudu-jar" && unzip -qo ./*.jar)
    mv "$work/kudu-jar/kudu-binary-$1-linux-x86_64" "$cache/kudu-$1"
  fi
  mkdir -p "$work/kudu"
  cp -a "$cache/kudu-$1" "$work/kudu/kudu"
  standin "apache/kudu:$1" "$work/kudu" kudu
  rm -rf "$work/kudu"
}
standin_kafka() { # version
  if [ ! -d "$cache/kafka-$1" ]; then
    mkdir -p "$work/kafka-pom"
    cat >"$work/kafka-pom/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>kudu2kafka</groupId><artifactId>standin</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$1</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$1</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
POM
    maven -f "$work/kafka-pom/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies "-DoutputDirectory=$work/kafka-jars"
    mv "$work/kafka-jars" "$cache/kafka-$1"
  fi
  mkdir -p "$work/kafka"
  cp -a "$cache/kafka-$1" "$work/kafka/libs"
  cp -aL "$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")" "$work/kafka/java" 2>/dev/null || true
  rm -rf "$work"/kafka/java/{jmods,man,demo,lib/src.zip,lib/ct.sym}
  [ -x "$work/kafka/java/bin/java" ] || fail "no Java to put into the stand-in of Kafka"
  standin "apache/kafka:$1" "$work/kafka" kafka
  rm -rf "$work/kafka"
}
standin_prometheus() { # version
  if [ ! -d "$cache/prometheus" ]; then
    (mkdir "$work/prometheus-deb" && cd "$work/prometheus-deb" && apt-get -qq download -o APT::Sandbox::User= prometheus && dpkg-deb -x ./*.deb .) >/dev/null || fail "fetching Debian's prometheus"
    mkdir "$work/prometheus-bin"
    mv "$work/prometheus-deb/usr/bin/prometheus" "$work/prometheus-bin/"
    mv "$work/prometheus-bin" "$cache/prometheus"
  fi
  mkdir -p "$work/prometheus"
  cp "$cache/prometheus/prometheus" "$work/prometheus/"
  standin "prom/prometheus:$1" "$work/prometheus" prometheus
  rm -rf "$work/prometheus"
}
standin_golang() { # version
  [ "$(go env GOVERSION)" = "go$1" ] || fail "the stand-in of golang:$1 needs that Go here, this is $(go env GOVERSION)"
  mkdir -p "$work/golang" "$cache/mod" "$cache/build"
  # What the build needs, and nothing else: modules, and the compiled parts of before.
  # The programs are built here once, outside the engine, so that these are there.
  go run ./internal/overlay/generate "$work/golang/overlay/" go >/dev/null
  export GOMODCACHE=$cache/mod
  GOFLAGS=-modcacherw go mod download
  for program in "-overlay $work/golang/overlay/overlay.json ./cmd/kudu2kafka" ./test/sample ./internal/overlay/generate; do
    # shellcheck disable=SC2086 # options apart by blanks
    CGO_ENABLED=0 GOFLAGS=-buildvcs=false GOCACHE=$cache/build go build -trimpath -o "$work/golang/program" $program
  done
  unset GOMODCACHE
  cp -a "$(go env GOROOT)" "$work/golang/go"
  cp -a "$cache/mod" "$work/golang/mod"
  cp -a "$cache/build" "$work/golang/build"
  standin "golang:$1" "$work/golang" golang
  rm -rf "$work/golang"
}

pulled() { [ -z "${K2K_STANDINS:-}" ] && timeout 300 docker pull -q "$1" >/dev/null 2>&1; }
images=("golang:$(sed -n 's/^ARG GO_VERSION=//p' Dockerfile)")
while read -r image; do images+=("$image"); done < <(compose --profile '*' config --images | grep -v '^kudu2kafka' | sort -u)
extras=(prometheus) # services that nothing else waits for
for image in "${images[@]}"; do
  name=${image%:*}
  name=${name##*/}
  if docker image inspect "$image" >/dev/null 2>&1; then
    :
  elif pulled "$image"; then
    say "$image is pulled"
  elif declare -F "standin_$name" >/dev/null; then
    base
    "standin_$name" "${image#*:}"
    say "$image is a stand-in"
  else
    say "$image can't be pulled, and has no stand-in: its service is left out"
    continue
  fi
  case $name in grafana | kafka-ui) extras+=("$name") ;; esac
done

# --- up

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
for name in KUDU2KAFKA KAFKA KUDU PROMETHEUS GRAFANA UI; do export "${name}_PORT=$(free_port)"; done
export VERSION=v0.0.0-compose SAMPLE_RATE=200
rest=http://127.0.0.1:$KUDU2KAFKA_PORT

consume() { # prints the value of each committed record, until none has come for 5 s
  compose exec -T kafka timeout 40 /opt/kafka/bin/kafka-console-consumer.sh --bootstrap-server kafka:19092 --topic orders --from-beginning \
    --isolation-level read_committed --timeout-ms 5000 "$@" 2>"$work/consumer.log"
}
published() { consume | sed -nE 's/.*"id":([0-9]+).*/\1/p'; }
inspect() { docker inspect -f "$2" "$(compose ps -aq "$1")"; }
status() { curl -s -m 5 "$rest/connectors/orders/status"; }
running() { [ "$(status | grep -o '"state":"RUNNING"' | wc -l)" = 5 ]; } # the connector and four tasks
healthy() { [ "$(inspect "${1:-kudu2kafka}" '{{.State.Health.Status}}')" = healthy ]; }
# committed counts the rows that the worker has committed since its tasks began.
committed() { curl -s -m 5 "$rest/metrics" | awk '/^kudu2kafka_rows_total/ { n += $2 } END { printf "%d", n }'; }
more_rows() { [ "$(consume --max-messages $(($1 + 1)) | wc -l)" -gt "$1" ]; } # than so many

up=1
say "docker compose up --build -d"
start=$SECONDS
compose up --build -d >"$work/up.log" 2>&1 || { tail -30 "$work/up.log"; fail "docker compose up"; }
say "up returned after $((SECONDS - start)) s"
await 120 "a row in the topic" more_rows 0
say "rows are in the topic $((SECONDS - start)) s after up"
await 60 "health" healthy
await 30 "running tasks" running
say "kudu2kafka is healthy; REST shows the connector and 4 tasks RUNNING"

# --- what the container is

[ "$(inspect kudu2kafka '{{.HostConfig.ReadonlyRootfs}} {{.Config.User}} {{.HostConfig.Memory}} {{.HostConfig.CapDrop}}')" = "true 65532:65532 536870912 [ALL]" ] ||
  fail "the container is not confined: $(inspect kudu2kafka '{{json .HostConfig}}')"
compose exec -T kudu2kafka kudu2kafka version | grep >/dev/null "^kudu2kafka v0.0.0-compose " || fail "the version isn't that of the build"
compose exec -T kudu2kafka kudu2kafka health | grep >/dev/null '^healthy: ' || fail "kudu2kafka health in the container"
! compose exec -T kudu2kafka /bin/sh -c true >/dev/null 2>&1 || fail "the image has a shell"
[ "$(docker image inspect -f '{{index .Config.Labels "org.opencontainers.image.version"}}' kudu2kafka)" = v0.0.0-compose ] || fail "the label of the version"
curl -s -m 5 "$rest/metrics" | grep >/dev/null '^kudu2kafka_' || fail "no metrics"
say "read-only root, user 65532, all capabilities dropped, no shell; image of $(($(docker image inspect -f '{{.Size}}' kudu2kafka) / 1048576)) MiB"

# --- kills, while rows are written

for n in 1 2 3; do
  pid=$(inspect kudu2kafka '{{.State.Pid}}')
  kill -9 "$pid"
  await 60 "a restart" sh -c "p=\$(docker inspect -f '{{.State.Pid}}' $(compose ps -aq kudu2kafka)) && [ \$p -gt 0 ] && [ \$p != $pid ]"
  await 90 "running tasks" running
  say "kill $n: restarted by the engine, RUNNING again"
done
[ "$(inspect kudu2kafka '{{.RestartCount}}')" = 3 ] || fail "it was restarted $(inspect kudu2kafka '{{.RestartCount}}') times"
compose kill kudu2kafka >/dev/null 2>&1

# --- another user

uid=$((20000 + RANDOM))
KUDU2KAFKA_USER=$uid:$uid compose up -d --no-deps kudu2kafka >/dev/null 2>&1 || fail "up as user $uid"
await 90 "running tasks" running
await 60 "health" healthy
docker top "$(compose ps -q kudu2kafka)" -o pid,uid | grep >/dev/null " $uid *$" || fail "it doesn't run as $uid: $(docker top "$(compose ps -q kudu2kafka)")"
say "as user $uid with a read-only root: healthy, RUNNING"

# --- Kafka and Kudu come late

compose stop -t 15 sample-writer >/dev/null 2>&1
compose kill kafka kudu-tserver kudu-master kudu2kafka >/dev/null 2>&1
compose up -d --no-deps kudu2kafka >/dev/null 2>&1 || fail "up without Kafka and Kudu"
await 30 "its REST interface" curl -sf -m 5 "$rest/health/live"
waiting() { [ "$(curl -s -m 12 -o "$work/health" -w '%{http_code}' "$rest/health")" = 503 ] && grep -q "$1" "$work/health"; }
await 60 "a health that names Kafka" waiting 'waits for Kafka at kafka:19092'
[ "$(curl -s -m 12 -o /dev/null -w '%{http_code}' "$rest/health/ready")" = 503 ] || fail "ready without Kafka"
say "without Kafka and Kudu: live, not ready: $(cat "$work/health")"
compose up -d --no-deps kafka >/dev/null 2>&1
# The connector as such, or each of its tasks, says what is missing.
without_kudu() { status | tee "$work/status" | grep >/dev/null '"state":"RESTARTING"' && grep -q kudu-master "$work/status"; }
await 120 "a status that names Kudu" without_kudu
say "with Kafka, without Kudu: $(head -c 230 "$work/status")..."
await 60 "health" healthy
compose up -d --no-deps kudu-master kudu-tserver >/dev/null 2>&1
await 120 "running tasks" running
say "with both: RUNNING"
[ "$(inspect kudu2kafka '{{.RestartCount}}')" = 0 ] || fail "it ended and was restarted meanwhile"

# --- monitoring, and whatever else there are images of

# Compose runs a service that is named whatever its profile is, and its dependencies.
compose up -d --no-deps "${extras[@]}" >/dev/null 2>&1 || fail "up of ${extras[*]}"
for extra in "${extras[@]}"; do await 120 "health of $extra" healthy "$extra"; done
ask_prometheus() { curl -s -m 5 -G "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" --data-urlencode "query=$1" | grep -q '"value":\['; }
await 60 "kudu2kafka as a target that is up" ask_prometheus 'up{job="kudu2kafka"} == 1'
await 60 "rows by Prometheus" ask_prometheus 'sum(kudu2kafka_rows_total) >= 0'
curl -s -m 5 "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/rules" >"$work/rules"
grep -q Kudu2KafkaBehind "$work/rules" && ! grep -q '"health":"err"' "$work/rules" || fail "the alert rules: $(head -c 500 "$work/rules")"
say "healthy: ${extras[*]}; Prometheus sees kudu2kafka and has its rules"
compose rm -sf "${extras[@]}" >/dev/null 2>&1

# --- each row once

each_row_once() { # rows at least
  local rows
  compose stop -t 15 sample-writer >/dev/null 2>&1
  compose logs --no-color --no-log-prefix sample-writer | grep >/dev/null '^stopped: [0-9]* rows are written' || fail "the writer did not stop in order"
  compose exec -T kudu-master kudu table scan kudu-master orders -columns=id 2>/dev/null | sed -nE 's/.*int64 id=([0-9]+).*/\1/p' | sort >"$work/table"
  rows=$(wc -l <"$work/table")
  [ "$rows" -gt "$1" ] && [ "$rows" = "$(uniq "$work/table" | wc -l)" ] || fail "the table has $rows rows, $(uniq "$work/table" | wc -l) of them different"
  all_there() { published | sort >"$work/topic" && [ "$(wc -l <"$work/topic")" -ge "$rows" ]; }
  await 60 "$rows rows in the topic" all_there
  published | sort >"$work/topic" # once more, should one come too often
  cmp -s "$work/table" "$work/topic" || fail "the topic has $(wc -l <"$work/topic") records of $(uniq "$work/topic" | wc -l) rows, the table $rows rows; differences: $(diff "$work/table" "$work/topic" | head -5)"
  say "$rows rows in the table, $(wc -l <"$work/topic") records in the topic: each row once"
}
down() {
  compose --profile '*' down -v --timeout 15 >/dev/null 2>&1
  [ -z "$(docker ps -aq --filter label=com.docker.compose.project=k2ktest)$(docker volume ls -q --filter label=com.docker.compose.project=k2ktest)" ] || fail "docker compose down -v left something"
}
before=$(published | wc -l)
compose up -d --no-deps sample-writer >/dev/null 2>&1
await 60 "new rows" more_rows "$((before + 200))"
each_row_once 1000
down

# --- three tablet servers, of which one is killed

start=$SECONDS
compose --profile replicated up -d >"$work/up.log" 2>&1 || { tail -30 "$work/up.log"; fail "docker compose --profile replicated up"; }
await 120 "a row in the topic" more_rows 0
say "with profile replicated, rows are in the topic $((SECONDS - start)) s after up"
[ "$(compose exec -T kudu-master kudu tserver list kudu-master -columns=uuid -format=csv 2>/dev/null | grep -cE '^[0-9a-f]{32}')" = 3 ] || fail "there aren't three tablet servers"
compose exec -T kudu-master kudu cluster ksck kudu-master -tables=orders 2>/dev/null >"$work/ksck" || fail "ksck: $(tail -20 "$work/ksck")"
grep -qE '^ *orders *\| *3 ' "$work/ksck" || fail "the table hasn't three replicas: $(grep -A3 'Replication Factor' "$work/ksck" || tail -20 "$work/ksck")"
compose kill kudu-tserver-2 >/dev/null 2>&1
before=$(committed)
more_committed() { [ "$(committed)" -gt $((before + 2000)) ]; }
await 90 "2000 rows though a tablet server is gone" more_committed
await 30 "running tasks" running
say "a tablet server was killed: rows go on, tasks RUNNING"
compose up -d --no-deps kudu-tserver-2 >/dev/null 2>&1
each_row_once 2000
down
up=
made+=(kudu2kafka kudu2kafka-sample)
say "passed"
