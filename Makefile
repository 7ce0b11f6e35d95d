# Everything sets itself up: `make demo` and `make test` work from a fresh clone.
# Needed: Go, a C compiler, and pip or an installed TensorFlow 2.18 (or LIBTENSORFLOW_DIR).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BENCH   ?= first-step
# What tests and benchmarks compare with. tf_keras goes without its dependencies: they name another TensorFlow.
PEERS   := tensorflow-cpu==2.18.1 keras==3.15.1 numpy==2.0.2 scikit-learn==1.7.2 statsmodels==0.14.5
PEERS_ALONE := tf_keras==2.18.0 tensorflow-serving-api==2.18.1
TESTARGS ?=

LIBTF := CGO_ENABLED=0 $(GO) run ./internal/libtf/cmd/libtf
TOOL  := $(GO) tool -modfile=internal/tools/go.mod
# Headers and library for cgo, in this recipe's shell. Two steps: eval alone would hide a failure.
WITH_TF := tfenv="$$($(LIBTF) env)"; eval "$$tfenv"; export CGO_ENABLED=1;
# The packages that link TensorFlow are those that depend on graft; the rest needs no cgo.
GRAFT := github.com/wamuir/graft/tensorflow
LINKS := {{$$p := .}}{{range .Deps}}{{if eq . "$(GRAFT)"}}{{$$p.ImportPath}}{{"\n"}}{{end}}{{end}}
HALVES := all="$$(CGO_ENABLED=1 $(GO) list ./...)"; \
	linked="$$(CGO_ENABLED=1 $(GO) list -f '$(LINKS)' ./... | sed '/^$$/d')"; \
	pure="$$(comm -23 <(sort <<<"$$all") <(sort <<<"$$linked"))";

CHECK = echo "vet"; $(GO) vet $(1); echo "staticcheck"; $(TOOL) staticcheck $(1); echo "test -short"; $(GO) test -short $(1)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

.PHONY: libtensorflow
libtensorflow: ## find TensorFlow's C library, or fetch it into the user's cache
	@$(LIBTF) fetch

.PHONY: build
build: libtensorflow ## bin/nasnet (pure Go) and bin/nasnet-engine (links TensorFlow)
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/nasnet ./cmd/nasnet
	@$(WITH_TF) set -x; $(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/nasnet-engine ./cmd/nasnet-engine

.PHONY: demo
demo: build ## the whole chain on CIFAR-10: search, retrain, evaluate, export, serve; run again to resume
	@bin/nasnet run --config quickstart

.PHONY: test
test: build ## every test (TESTARGS: further arguments of go test)
	@$(HALVES) \
	run() { CGO_ENABLED=0 $(GO) test -json -timeout 20m $(TESTARGS) $$pure || status=1; \
	        CGO_ENABLED=0 $(GO) test -C internal/tools -json ./... || status=1; \
	        CGO_ENABLED=0 $(GO) test -C internal/container/check -count=1 -json ./... || status=1; \
	        $(WITH_TF) [ -z "$$linked" ] || $(GO) test -json -timeout 20m $(TESTARGS) $$linked || status=1; \
	        return $$status; }; \
	status=0; run | $(GO) run -C internal/tools ./testsum

.PHONY: test-container
test-container: ## the Dockerfile executed and its image run without Docker (needs root and debootstrap)
	@NASNET_CONTAINER_TEST=$${NASNET_CONTAINER_TEST:-1} CGO_ENABLED=0 $(GO) test -v -count=1 -timeout 60m -run 'TestTheImage$$' ./internal/container

.PHONY: image
image: ## the container image (BASE: another TensorFlow image, such as tensorflow/tensorflow:2.18.0 for CPUs)
	docker build $(if $(BASE),--build-arg BASE=$(BASE)) --build-arg VERSION=$(VERSION) -t nasnet:$(VERSION) .

.PHONY: check
check: libtensorflow check-nocgo ## formatting, vet, staticcheck, layers, short tests
	@$(HALVES) $(WITH_TF) [ -n "$$linked" ] || exit 0; $(call CHECK,$$linked)

.PHONY: check-nocgo
check-nocgo: ## the same for the packages that need no TensorFlow
	@$(HALVES) export CGO_ENABLED=0; \
	unformatted="$$($(TOOL) gofumpt -l $$(find . -name '*.go'))"; \
	if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi; \
	$(call CHECK,$$pure)

.PHONY: bench
bench: build ## measure (BENCH="first-step train infer …": which)
	@for what in $(BENCH); do bin/nasnet bench "$$what"; done

.PHONY: peers
peers: ## Python with TensorFlow and Keras, which some tests and benchmarks compare with
	@dir="$${NASNET_CACHE:-$${XDG_CACHE_HOME:-$$HOME/.cache}/nasnet}/peers"; \
	python3 -m venv "$$dir"; "$$dir/bin/pip" install --quiet $(PEERS); "$$dir/bin/pip" install --quiet --no-deps $(PEERS_ALONE); \
	TF_CPP_MIN_LOG_LEVEL=2 "$$dir/bin/python" -c 'import tensorflow as tf, keras; print("peers:", tf.__version__, keras.__version__)'

.PHONY: fmt
fmt: ## format the code
	@$(TOOL) gofumpt -w $$(find . -name '*.go')

.PHONY: clean
clean: ## remove bin; runs and the user's cache stay
	rm -rf bin
