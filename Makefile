# Everything here needs Go alone, but for e2e (Java; it says what else) and docker.
GO          ?= go
BIN         ?= bin
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION    ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
IMAGE       ?= kafka-connect-exporter:$(VERSION)
# The newest release that the module proxy has; built once, then cached by Go.
GOLANGCI    ?= github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHTIME   ?= 1s

VERSION_PACKAGE = github.com/prometheus/common/version
LDFLAGS = -s -w -X $(VERSION_PACKAGE).Version=$(VERSION) -X $(VERSION_PACKAGE).Revision=$(REVISION)

.PHONY: build test vet lint bench bench-compare e2e docs docker clean

build: ## The static binary, in bin/.
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/kafka-connect-exporter

test: ## Every test, with the race detector.
	$(GO) test -race ./...

vet: ## What needs no linter: formatting and go vet.
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...

lint: vet ## All linters of .golangci.yml.
	$(GO) run $(GOLANGCI) run ./...

bench: ## The benchmarks as a table, each beside its yardstick.
	$(GO) run ./bench/table -benchtime $(BENCHTIME)
	BENCH_SCRAPES=1000 $(GO) test -count=1 -timeout 1h -run 'TestManyClusters|TestResidentMemory' -v ./bench

bench-compare: ## The benchmarks of this tree against those of BASE (main), by benchstat.
	./bench/compare.sh $(BASE)

e2e: ## The suite on real parts: Kafka, Kafka Connect, Prometheus.
	./e2e/run.sh

docs: ## What is generated: dashboards, references, and what the commands print in their tests.
	$(GO) generate ./...
	$(GO) test ./collector/series ./config ./cmd/... -run 'TestReference|TestCommandLines' -update

docker: ## The image.
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE) .

clean:
	rm -rf $(BIN)
