#!/bin/sh
# In the build stage: both programs, linked with the TensorFlow of the image. Usage: build.sh OUT, in the sources.
set -eu

out=$1
version=${VERSION:-unknown}
PATH=/usr/local/go/bin:$PATH
export PATH GOTOOLCHAIN=local GOFLAGS="-buildvcs=false -trimpath"
mkdir -p "$out"

CGO_ENABLED=0 go build -ldflags "-s -w -X main.version=$version" -o "$out/nasnet" ./cmd/nasnet

# Two steps: eval alone would hide that no TensorFlow was found.
tensorflow=$(CGO_ENABLED=0 go run ./internal/libtf/cmd/libtf env)
eval "$tensorflow"
CGO_ENABLED=1 go build -ldflags "-s -w -X main.version=$version" -o "$out/nasnet-engine" ./cmd/nasnet-engine
