# The image of kudu2kafka: one static program and the usual root certificates.
#
#   docker build -t kudu2kafka .                        (make image)
#   docker run --read-only -v ./configs:/etc/kudu2kafka:ro kudu2kafka
#
# It runs as any user, and writes to nothing but /tmp, which only streaming keys
# that Kudu can't order by need (sort.directory): give it a tmpfs there.

ARG GO_VERSION=1.26.8

FROM golang:${GO_VERSION} AS build
WORKDIR /src
# Modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ENV CGO_ENABLED=0 GOFLAGS=-buildvcs=false
# With Go's crypto/x509 changed as internal/overlay tells, like make build.
RUN mkdir -p /image/etc/ssl/certs /image/usr/local/bin /image/etc/kudu2kafka \
 && mkdir -m 1777 /image/tmp \
 && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
 && go run ./internal/overlay/generate /overlay/ go \
 && go build -overlay /overlay/overlay.json -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /image/usr/local/bin/kudu2kafka ./cmd/kudu2kafka

# What docker-compose.yml fills a table with; no part of the product.
FROM build AS build-sample
RUN go build -trimpath -ldflags "-s -w" -o /sample ./test/sample

FROM scratch AS sample
COPY --from=build-sample /sample /sample
# Who has no entry in /etc/passwd goes by this name in Kudu.
ENV USER=sample
USER 65532:65532
ENTRYPOINT ["/sample"]
CMD ["table"]

# The last stage is what a build without --target makes.
FROM scratch AS kudu2kafka
ARG VERSION=dev
LABEL org.opencontainers.image.title="kudu2kafka" \
      org.opencontainers.image.description="Streams Apache Kudu tables into Kafka topics, each row exactly once" \
      org.opencontainers.image.source="https://github.com/kudu2kafka/kudu2kafka" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /image/ /
ENV PATH=/usr/local/bin USER=kudu2kafka
USER 65532:65532
EXPOSE 8083
STOPSIGNAL SIGTERM
# Whether the worker is ready: Docker shows it and dependents wait for it, but
# nothing is restarted for it.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["kudu2kafka", "health"]
ENTRYPOINT ["kudu2kafka"]
CMD ["run", "/etc/kudu2kafka/worker.yaml", "/etc/kudu2kafka/connectors"]
