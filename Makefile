# What needs doing with this project. "make help" lists the targets.
#
# Go's own variables (GOFLAGS, GOPROXY, ...) are left as they are found. The
# variables here can be given on the command line: make fuzz FUZZTIME=5m

GO        ?= go
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
PKGS      ?= ./...
TESTFLAGS ?=
FUZZTIME  ?= 30s
# Go would spend up to a minute on making a single interesting input smaller.
FUZZMINIMIZETIME ?= 10x
IMAGE     ?= kudu2kafka
PLATFORMS ?= linux/amd64,linux/arm64,darwin/amd64,darwin/arm64
BENCHFLAGS ?=
K2K_CHAOS_SCHEDULES ?= 100
K2K_CHAOS_SECONDS   ?= 30
CHAOSTIME           ?= 6h

MODULE      := github.com/kudu2kafka/kudu2kafka
LDFLAGS     := -s -w -X main.version=$(VERSION)

# Tools are built from source, once for each version, so that they know this Go.
LINTVERSION := v2.15.0
LINT        := bin/tools/golangci-lint-$(LINTVERSION)
VULNVERSION := v1.8.0
VULN        := bin/tools/govulncheck-$(VULNVERSION)
SYFTVERSION := v1.52.0
SYFT        := bin/tools/syft-$(SYFTVERSION)

# The database of known vulnerabilities: another address, or a copy as file:///PATH.
GOVULNDB ?= https://vuln.go.dev

# Results are never taken from the cache, which doesn't notice that a machine has
# got servers, or lost them. The time limit is each package's.
GOTEST := $(GO) test -count=1

# Packages are tested one after another: several start real servers, and two such
# packages at once on a small machine make each other's deadlines fail. Only those
# here are tested two at a time, in this order, before the others. The tests of WAITING
# mostly wait, and start neither Kafka nor anything else of weight: internal/archtest
# sees to that. Those of PAIRED have few servers, with little to do, and wait for them.
# None measures how long something takes, or builds much.
WAITING := $(addprefix $(MODULE)/,kudu/internal/kerberos internal/herder internal/preflight internal/kafka internal/rest connector)
PAIRED := $(addprefix $(MODULE)/test/,connect demo page secrets)

# $(call tests,FLAGS) tests PKGS: the others too if the first have failed, which is told
# by the exit code.
tests = $(call two-parts,$(filter $(PACKAGES),$(WAITING) $(PAIRED)),$(filter-out $(WAITING) $(PAIRED),$(PACKAGES)),$(1))
two-parts = code=0; \
	$(if $(1),$(GOTEST) -p 2 $(3) $(TESTFLAGS) $(1) || code=$$?;) \
	$(if $(2),$(GOTEST) -p 1 $(3) $(TESTFLAGS) $(2) || code=$$?;) \
	exit $$code
PACKAGES = $(or $(shell $(GO) list -e $(PKGS)),$(error PKGS=$(PKGS) names no packages))

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Go's own crypto/x509, changed so that it reads the certificates of a Kudu with
# Kerberos, see internal/overlay. Whatever is shipped is built with it. The
# generator runs here, for whatever system the rest is built.
OVERLAY := bin/overlay/overlay.json

.PHONY: overlay
overlay:
	@GOOS= GOARCH= $(GO) run ./internal/overlay/generate $(dir $(OVERLAY)) $(GO) >/dev/null

.PHONY: build
build: overlay ## build bin/kudu2kafka, one static binary
	CGO_ENABLED=0 $(GO) build -overlay $(OVERLAY) -trimpath -ldflags '$(LDFLAGS)' -o bin/kudu2kafka ./cmd/kudu2kafka

.PHONY: image
image: ## build the Docker image kudu2kafka (IMAGE, VERSION)
	docker build --build-arg VERSION='$(VERSION)' -t '$(IMAGE)' .

.PHONY: demo
demo: build ## show rows going from Kudu to Kafka, on servers of its own (MODE, DEMO_SECONDS, DEMO_RATE)
	@$(GO) build -o bin/demo ./test/demo
	@bin/demo

.PHONY: test
test: check-format ## all tests; with K2K_REQUIRE_SERVERS=1 a missing server is a failure
	$(GO) vet $(PKGS)
	$(call tests,-timeout 40m)

.PHONY: race
race: ## all tests with the race detector (needs a C compiler)
	$(call tests,-race -timeout 80m)

.PHONY: check-format
check-format:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted, run gofmt -w:"; echo "$$files"; exit 1; fi

.PHONY: lint
lint: check-format $(LINT) ## golangci-lint, as .golangci.yml says, and vulncheck (with K2K_REQUIRE_VULNDB=1 no database is a failure)
	$(LINT) run $(PKGS)
	@$(MAKE) --no-print-directory vulncheck || { code=$$?; \
		grep -q '^govulncheck: fetching vulnerabilities' bin/vulncheck.err && [ -z "$(K2K_REQUIRE_VULNDB)" ] || exit $$code; \
		echo "make lint: passed, but for known vulnerabilities, which were NOT looked for" >&2; }

# Exit code 3 is govulncheck's for vulnerabilities that the code can come to.
.PHONY: vulncheck
vulncheck: $(VULN) ## known vulnerabilities in what the code calls (GOVULNDB)
	@mkdir -p bin; $(VULN) -db '$(GOVULNDB)' $(PKGS) 2>bin/vulncheck.err; code=$$?; cat bin/vulncheck.err >&2; \
	if grep -q '^govulncheck: fetching vulnerabilities' bin/vulncheck.err; then \
		echo "make vulncheck: nothing was checked for known vulnerabilities. A machine that doesn't reach $(GOVULNDB)" >&2; \
		echo "needs a copy of the database: make vulncheck GOVULNDB=file:///PATH, see CONTRIBUTING.md." >&2; \
	fi; exit $$code

$(LINT):
	GOBIN='$(CURDIR)/bin/tools' $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINTVERSION)
	mv bin/tools/golangci-lint $@

$(VULN):
	GOBIN='$(CURDIR)/bin/tools' $(GO) install golang.org/x/vuln/cmd/govulncheck@$(VULNVERSION)
	mv bin/tools/govulncheck $@

$(SYFT):
	GOBIN='$(CURDIR)/bin/tools' $(GO) install github.com/anchore/syft/cmd/syft@$(SYFTVERSION)
	mv bin/tools/syft $@

# What is published, of the last commit: for each platform the program in an archive,
# with the licenses of all that it is built of, and a list of that (SBOM, CycloneDX).
.PHONY: release
release: $(SYFT) ## archives for all platforms, SBOMs and sums, in dist/ (VERSION, PLATFORMS)
	$(GO) run ./internal/release -go '$(GO)' -version '$(VERSION)' -platforms '$(PLATFORMS)' -syft '$(CURDIR)/$(SYFT)' -out dist

# Built anew of a clone in another folder, with nothing of what is in Go's cache.
.PHONY: reproduce
reproduce: $(SYFT) ## build the release in dist/ a second time, and compare
	@set -e; work=$$(mktemp -d); trap 'chmod -R u+w "$$work"; rm -rf "$$work"' EXIT; \
	git clone --quiet . "$$work/clone"; git -C "$$work/clone" checkout --quiet --detach "$$(git rev-parse HEAD)"; \
	(cd "$$work/clone" && GOCACHE="$$work/cache" $(GO) run ./internal/release -go '$(GO)' -version '$(VERSION)' -platforms '$(PLATFORMS)' -syft '$(CURDIR)/$(SYFT)' -out dist); \
	diff dist/SHA256SUMS "$$work/clone/dist/SHA256SUMS" && (cd "$$work/clone/dist" && sha256sum --quiet -c '$(CURDIR)/dist/SHA256SUMS') && echo 'the same to the byte'

.PHONY: bench
bench: build ## measure throughput, latency and restoring, on servers of its own (BENCHFLAGS="-only latency")
	$(GO) run ./test/bench $(BENCHFLAGS)

# Each schedule takes about as long again to set up and to catch up.
.PHONY: chaos
chaos: ## random schedules of faults on real servers (K2K_CHAOS_SCHEDULES, K2K_CHAOS_SECONDS, K2K_SEED)
	K2K_REQUIRE_SERVERS=1 K2K_CHAOS_SCHEDULES=$(K2K_CHAOS_SCHEDULES) K2K_CHAOS_SECONDS=$(K2K_CHAOS_SECONDS) \
		$(GO) test -count=1 -v -run '^TestEachRowIsPublishedOnceWhateverFails$$' -timeout $(CHAOSTIME) $(TESTFLAGS) ./test/e2e

.PHONY: strict
strict: ## the crash test in the strictest setting of Kudu and Kafka, whole; make test has a short form
	K2K_REQUIRE_SERVERS=1 K2K_STRICT_WHOLE=1 \
		$(GO) test -count=1 -v -run '^TestEachRowIsPublishedOnceInTheStrictestSetting$$' -timeout 20m $(TESTFLAGS) ./test/e2e

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME
	@grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
			echo "== $$target in $$(dirname $$file)"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime $(FUZZMINIMIZETIME) "$$(dirname $$file)" || exit 1; \
		done || exit 1; \
	done

.PHONY: model
model: ## check the model of the exactly-once protocol (needs spin and a C compiler)
	@model/run.sh

.PHONY: generate
generate: ## rewrite the files that are made from others (docs/configuration.md, docs/metrics.md)
	$(GO) generate ./internal/config ./internal/metrics

.PHONY: pictures
pictures: ## take the pictures in docs/img anew, in a headless Chromium
	K2K_PICTURES=1 K2K_REQUIRE_SERVERS=1 $(GO) test -count=1 ./test/page

.PHONY: clean
clean: ## remove what was built; servers stay in the user's cache
	rm -rf bin dist
