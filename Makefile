# Everything here needs Go alone, but for e2e (Java; it says what else) and docker.
GO          ?= go
BIN         ?= bin
# What a build says of itself. All of it is of the commit, so that two builds of
# one commit are the same, byte for byte.
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
REVISION    ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BRANCH      ?= $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null || echo unknown)
BUILD_DATE  ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo unknown)
IMAGE       ?= kafka-connect-exporter:$(VERSION)
BENCHTIME   ?= 1s
FUZZTIME    ?= 5m
SOAKTIME    ?= 20m
# Where the soak draws what it saw; SOAKPLOT= draws nothing.
SOAKPLOT    ?= docs/images/soak.svg

VERSION_PACKAGE = github.com/prometheus/common/version
LDFLAGS = -s -w -X $(VERSION_PACKAGE).Version=$(VERSION) -X $(VERSION_PACKAGE).Revision=$(REVISION) \
	-X $(VERSION_PACKAGE).Branch=$(BRANCH) -X $(VERSION_PACKAGE).BuildDate=$(BUILD_DATE)

.PHONY: build ldflags release-snapshot test properties vet lint vulnerabilities bench bench-compare e2e docs docker clean fuzz faults soak

build: ## The static binary, in bin/.
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/kafka-connect-exporter

ldflags: ## What the linker is told; the release is built with it too.
	@echo '$(LDFLAGS)'

release-snapshot: ## Archives and packages of all platforms, in dist/; images, signatures and SBOMs are made by the release alone.
	LDFLAGS="$$($(MAKE) -s ldflags)" $$(./tools/build.sh goreleaser)/goreleaser release --snapshot --clean --skip=docker,sign,sbom,publish

test: ## Every test, with the race detector.
	$(GO) test -race ./...

properties: ## What is tested by drawn cases, with many more of these.
	RAPID_CHECKS=1000 $(GO) test -count=1 -timeout 1h ./collector/... ./config ./connect/rest ./app

vet: ## What needs no linter: formatting, no conflict left behind, go vet.
	@! git grep -nE '^(<<<<<<<|>>>>>>>) ' || { echo "solve these conflicts"; exit 1; }
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt these files:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...

lint: vet ## All linters of .golangci.yml, and whether go.mod is tidy.
	$(GO) mod tidy -diff
	"$$(./tools/build.sh golangci)/golangci-lint" run ./...
	cd e2e && "$$(../tools/build.sh golangci)/golangci-lint" run ./...

vulnerabilities: ## Known ones in what is linked; their database is on the network (vuln.go.dev).
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

fuzz: ## Each fuzz target for FUZZTIME (5m, or 10000x inputs); what it finds lies in testdata/fuzz, and is a seed once committed.
	@failed=; for package in $$(git grep -l '^func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		for target in $$(git grep -h '^func Fuzz' -- "$$package/*_test.go" | sed 's/func \(Fuzz[A-Za-z0-9]*\).*/\1/' | sort -u); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$package" || failed="$$failed $$package:$$target"; \
		done; \
	done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

faults: ## Every fault at every door, those that wait or send much, too; docs/faults.md is held to it.
	FAULTS=1 $(GO) test -race -count=1 -v -run TestFaultTable ./app

soak: ## Everything that may happen, over and over for SOAKTIME, to the binary; what is left over afterwards is drawn into SOAKPLOT.
	SOAK=$(SOAKTIME) $(GO) test -count=1 -timeout 2h -run TestSoak -v ./bench -plot '$(if $(SOAKPLOT),$(abspath $(SOAKPLOT)))'

bench: ## The benchmarks as a table, each beside its yardstick.
	$(GO) run ./bench/table -benchtime $(BENCHTIME)
	BENCH=1 $(GO) test -count=1 -timeout 1h -run 'TestManyClusters|TestThousandClusters|TestResidentMemory|TestWire|TestBrokersCost|TestDecodePeakHeap' -v ./bench ./connect/rest

bench-compare: ## The benchmarks of this tree against those of BASE (main), by benchstat.
	./bench/compare.sh $(BASE)

e2e: ## The suite on real parts: Kafka, Kafka Connect, Prometheus.
	./e2e/run.sh

docs: ## What is generated: dashboards, references, and what the commands print in their tests.
	$(GO) generate ./...
	$(GO) test ./collector/series ./config ./discovery ./cmd/... ./deploy ./push -run 'TestReference|TestCommandLines|TestChart' -update

docker: ## The image.
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --build-arg BRANCH=$(BRANCH) --build-arg BUILD_DATE=$(BUILD_DATE) -t $(IMAGE) .

clean:
	rm -rf $(BIN) dist
