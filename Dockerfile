# syntax=docker/dockerfile:1
# Both bases may be pinned by digest: --build-arg GO_IMAGE=golang@sha256:...
ARG GO_IMAGE=golang:1.26-bookworm
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${GO_IMAGE} AS build
WORKDIR /src
COPY . .
# The Makefile takes what the build says of itself from these.
ARG VERSION=dev
ARG REVISION=unknown
ARG BRANCH=unknown
ARG BUILD_DATE=unknown
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    make build BIN=/out

# The base brings CA certificates and time zones, no shell. There is no
# HEALTHCHECK, which would need one: ask /-/healthy from outside.
FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="kafka-connect-exporter" \
      org.opencontainers.image.description="Watches Kafka Connect clusters and exposes connectors, tasks and failures as metrics" \
      org.opencontainers.image.source="https://github.com/kafka-connect-exporter/kafka-connect-exporter" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out/kafka-connect-exporter /usr/bin/kafka-connect-exporter
COPY LICENSE /licenses/LICENSE
# Numeric, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
EXPOSE 10083
ENTRYPOINT ["/usr/bin/kafka-connect-exporter"]
