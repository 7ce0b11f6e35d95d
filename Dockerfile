# nasnet in a container: docker build -t nasnet .     How to run it: docs/deploy.md
# CPU: docker build --build-arg BASE=tensorflow/tensorflow:2.18.0 -t nasnet:cpu .
#
# Every RUN line is a script of internal/container. Its test runs these lines, and the image they make, without Docker.
ARG BASE=tensorflow/tensorflow:2.18.0-gpu
ARG GO=golang:1.26-bookworm

FROM ${GO} AS go

# The engine is linked on the image that it will run on: the same TensorFlow, the same C library.
FROM ${BASE} AS build
COPY --from=go /usr/local/go /usr/local/go
COPY internal/container/compiler.sh /scripts/
RUN /scripts/compiler.sh
COPY . /src
WORKDIR /src
ARG VERSION=unknown
RUN --mount=type=cache,target=/root/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build /src/internal/container/build.sh /out

FROM ${BASE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="nasnet" \
      org.opencontainers.image.description="Search, train, evaluate, export and serve NASNet cells over TensorFlow's C API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/nasnet-go/nasnet" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/ /usr/local/bin/
COPY internal/container/runtime.sh /usr/local/share/nasnet/
RUN /usr/local/share/nasnet/runtime.sh

# All that is written goes to the volumes and to /tmp: the root file system may be read-only.
ENV HOME=/nasnet/cache NASNET_CACHE=/nasnet/cache
WORKDIR /nasnet
VOLUME ["/nasnet/data", "/nasnet/runs", "/nasnet/cache"]
# gRPC and REST of `serve`; `worker --train`; the queue of a search
EXPOSE 8500 8501 2222 4222
USER 65532:65532
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s --retries=3 CMD ["nasnet", "health"]
ENTRYPOINT ["nasnet"]
CMD ["--help"]
