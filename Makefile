# Every target prints what it does and how long it takes on a machine of 2
# cores. The first one that needs the control plane builds it: about 10 minutes,
# once; the result is kept in the user's cache folder.

GO          ?= go
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS      = -s -w -X main.version=$(VERSION)
FUZZTIME    ?= 10m
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.7.0
GOVULNCHECK  = golang.org/x/vuln/cmd/govulncheck@v1.9.0

# Packages without input or output: they run under the race detector.
PURE = . ./check/... ./controls/... ./derive/... ./report/... ./collect/object/... ./collect/redact/...

IMAGE       ?= localhost/bailey
BUILDER     ?=
SIGNING_KEY ?= dist/release.key

.PHONY: build image up down test packages check lint race vuln generated soak bench fuzz docs clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## build bin/bailey (1 to 3 minutes the first time)
	@echo "building bin/bailey (seconds; 1 to 3 minutes the first time) ..."
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/bailey ./cmd/bailey

# The key is made at first use if there is none. COSIGN_PASSWORD is its passphrase: empty for a
# key that is not encrypted. `bailey verify` with $(basename SIGNING_KEY).pub verifies.
image: build ## make dist/: an image of bin/bailey, its SBOM and provenance, signed (1 minute)
	@echo "making dist/ ..."
	@$(GO) run ./internal/release/cmd/release -program bin/bailey -version '$(VERSION)' -name '$(IMAGE)' $(if $(BUILDER),-builder '$(BUILDER)') -out dist
	@export COSIGN_PASSWORD="$${COSIGN_PASSWORD-}"; image=$$(cat dist/image.digest); sign="--key $(SIGNING_KEY) --push=false"; \
	test -e '$(SIGNING_KEY)' || bin/bailey sign --generate-key '$(basename $(SIGNING_KEY))'; \
	bin/bailey --offline sign $$image $$sign --bundle dist/image.sigstore.json && \
	bin/bailey --offline attest $$image $$sign --predicate dist/sbom.cdx.json --type cyclonedx --bundle dist/sbom.sigstore.json && \
	bin/bailey --offline attest $$image $$sign --predicate dist/provenance.json --type slsaprovenance1 --bundle dist/provenance.sigstore.json

up: build ## start a control plane with the sample platform, and serve it until Ctrl-C (10 seconds, once built)
	@bin/bailey up --sample

down: build ## stop a cluster that bailey up --detach left running
	@bin/bailey down

# What tests leave, such as pictures of the dashboard's pages, is kept in _artifacts until the next time.
test: packages ## run the tests against a real control plane (10 minutes, once built)
	@echo "testing (10 minutes; 10 more the first time, to build the control plane) ..."
	@rm -rf _artifacts
	@$(GO) run ./devcluster/cmd/with-cluster -- $(GO) test -artifacts -ldflags=-w -timeout 45m ./...

# The browser, the database, Alertmanager and what a node consists of, for the tests, on Debian. Nothing
# of it is started as a service.
TEST_PACKAGES = chromium fonts-liberation postgresql prometheus-alertmanager containerd runc containernetworking-plugins nftables iptables iproute2

packages:
	@if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 0; fi; \
	if dpkg-query -W -f '$${Status}\n' $(TEST_PACKAGES) 2>/dev/null | grep -c '^install ok installed' | grep -qx $(words $(TEST_PACKAGES)); then exit 0; fi; \
	echo "installing $(TEST_PACKAGES), for the tests that run pods or need a browser or a database (2 minutes) ..."; \
	policy=/usr/sbin/policy-rc.d; \
	if [ ! -e $$policy ]; then trap "rm -f $$policy" EXIT INT TERM; printf '#!/bin/sh\nexit 101\n' >$$policy; chmod 755 $$policy; fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	{ timeout 120 apt-get update -qq && timeout 300 apt-get install -y -qq --no-install-recommends $(TEST_PACKAGES); } >/dev/null 2>&1 \
	|| echo "  they could not be installed: the tests that run pods or need Chromium, PostgreSQL or Alertmanager will skip"
# Of Debian's Prometheus the tests need promtool alone. Installed, with what it depends on, the package is 320 MB and a service.
	@if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || command -v promtool >/dev/null; then exit 0; fi; \
	echo "installing promtool in /usr/local/bin, for the test of the alert rules (19 MB) ..."; \
	dir=$$(mktemp -d) && trap "rm -rf $$dir" EXIT INT TERM && cd $$dir && \
	{ timeout 120 apt-get update -qq && timeout 120 apt-get download -qq prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool \
	&& install usr/bin/promtool /usr/local/bin/; } >/dev/null 2>&1 || echo "  it could not be fetched: the test of the alert rules will skip"

check: lint generated test race vuln ## everything that CI runs (20 minutes, once built)
	@echo "make check: all passed"

lint:
	@echo "gofmt, go vet, staticcheck (1 to 5 minutes) ..."
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt would change:"; echo "$$files"; exit 1; }
	@$(GO) vet ./...
	@$(GO) run $(STATICCHECK) ./...

generated:
	@echo "generated files are up to date? (seconds) ..."
	@$(GO) mod tidy -diff
	@$(GO) run ./internal/docgen/cmd/docgen -check

race:
	@command -v gcc >/dev/null || { echo "installing gcc, which the race detector needs ..."; apt-get update -qq && apt-get install -y -qq gcc libc6-dev >/dev/null; }
	@echo "race detector on the pure packages (3 minutes) ..."
	@$(GO) test -race -ldflags=-w -short -timeout 20m $(PURE)

vuln:
	@echo "govulncheck, where its data can be reached (1 minute) ..."
	@out=$$(timeout 300 $(GO) run $(GOVULNCHECK) ./... 2>&1); code=$$?; \
	if [ $$code -ne 0 ] && echo "$$out" | grep -qiE 'vuln\.go\.dev|no such host|connection refused|i/o timeout|forbidden|dial tcp'; then \
		echo "  skipped: the vulnerability data could not be reached"; \
	else echo "$$out" | tail -n 40; exit $$code; fi

fuzz: ## run every fuzz target for FUZZTIME (default 10m each)
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "fuzzing $$pkg $$target for $(FUZZTIME) ..."; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$pkg; \
		done; done

bench: build ## measure, and print ratios and growth curves (5 minutes)
	@echo "measuring (5 minutes on an idle machine) ..."
	@$(GO) run ./bench -bailey bin/bailey

soak: ## the long tests: every fuzz target, an hour of ordinary work, the tests ten times over (hours)
	@$(MAKE) fuzz
	@BAILEY_SOAK=1 $(GO) test -count 1 -run '^TestQuiet$$' -timeout 2h ./derive/detect
	@BAILEY_SOAK=1 $(GO) run ./devcluster/cmd/with-cluster -- $(GO) test -count 1 -artifacts -skip '^TestQuiet$$' -timeout 8h ./...
	@$(GO) run ./devcluster/cmd/with-cluster -- $(GO) test -count 10 -timeout 3h ./...

docs: ## write the generated pages of docs/ anew
	@$(GO) run ./internal/docgen/cmd/docgen

clean: ## remove what make built here
	rm -rf bin dist _artifacts
