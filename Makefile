# Everything runs with Go, make and git. The tools come through the Go module proxy, at the versions of tools/go.mod. Some tests need more:
# .ci/missing lists it. Clients in other languages need the tools and package managers of their language.

MAKEFLAGS += --no-print-directory

# A machine may pin its own Go with GOTOOLCHAIN=local. Since Go 1.21, the go command can fetch the version that go.mod requires.
export GOTOOLCHAIN := auto
GO_FLOOR := $(shell sed -n 's/^go //p' go.mod)
# The line about the download is let through, because a download takes a while.
GO_FOUND := $(patsubst go%,%,$(shell { GOTOOLCHAIN=auto go env GOVERSION 2>&1 >&3 | sed -n '/^go: downloading /p' >&2; } 3>&1))
ifneq ($(GO_FLOOR),$(firstword $(shell printf '%s\n' $(GO_FLOOR) $(or $(GO_FOUND),0) | sort -V)))
$(error kootask needs Go $(GO_FLOOR) or newer, or Go 1.21 with access to a Go module proxy, which serves it; found: $(or $(GO_FOUND),$(shell GOTOOLCHAIN=local go env GOVERSION 2>/dev/null),none))
endif

TOOL := go tool -modfile=tools/go.mod
BUF := $(TOOL) buf

# The race detector needs a C compiler.
RACE = $(eval RACE := $(if $(findstring race detector,$(shell KOOTASK_TEST_ALL= .ci/missing)),,-race))$(RACE)

.PHONY: help
help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-16s %s\n", $$1, $$2}'

.PHONY: run
run: build ## Run kootask demo: the service with a stand-in for KooDrive, on this machine. Ctrl-C ends it.
	@exec bin/kootask demo

# The program is static: it runs in an empty container, and its behaviour does not depend on the machine that builds it.
build install: export CGO_ENABLED := 0
PROGRAM ?= bin/kootask

# The program has the version, and no path of the machine that builds it. Equal sources and versions make equal programs.
VERSION = $(shell .ci/version)
LDFLAGS = -X github.com/kootask/kootask/internal/version.stamped=$(VERSION)
BUILD_FLAGS = -trimpath -ldflags '$(LDFLAGS)'

.PHONY: build
build: ## Build PROGRAM (bin/kootask) with VERSION (that of the commit or its tag).
	go build $(BUILD_FLAGS) -o $(PROGRAM) ./cmd/kootask

.PHONY: install
install: ## Install kootask in the folder of go install: GOBIN, or else bin in GOPATH.
	@go install $(BUILD_FLAGS) ./cmd/kootask
	@go list -f 'Installed {{.Target}}. Its folder has to be in your PATH.' ./cmd/kootask

# The platforms of make dist.
DIST_PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)

# swgui embeds Swagger UI without its licence, which the npm package has.
SWAGGER_UI := bin/swagger-ui/node_modules/swagger-ui-dist/package.json
$(SWAGGER_UI): packaging/swagger-ui/package-lock.json
	@mkdir -p bin/swagger-ui
	cp packaging/swagger-ui/package.json packaging/swagger-ui/package-lock.json bin/swagger-ui
	npm ci --prefix bin/swagger-ui --ignore-scripts
	@touch $@

.PHONY: dist
dist: export CGO_ENABLED := 0
dist: LDFLAGS += -s -w
dist: $(SWAGGER_UI) ## Make the packages of DIST_PLATFORMS in dist/: archives, deb, rpm, an image, licences, lists of components and checksums.
	@rm -rf dist bin/dist
	@mkdir -p dist
	go build $(BUILD_FLAGS) -o bin/dist/kootask ./cmd/kootask
	@bin/dist/kootask man >bin/dist/kootask.1
	@bin/dist/kootask completion bash >bin/dist/kootask.bash
	@bin/dist/kootask completion fish >bin/dist/kootask.fish
	@bin/dist/kootask completion zsh >bin/dist/_kootask
	@for platform in $(DIST_PLATFORMS); do \
		echo "$$platform"; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} go build $(BUILD_FLAGS) -o bin/dist/$$platform/kootask ./cmd/kootask || exit 1; \
	done
	@go build -C packaging -o ../bin/packaging .
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) bin/packaging -version '$(VERSION)' -commit '$(COMMIT)' $(DIST_PLATFORMS)
	@cat dist/SHA256SUMS

.PHONY: check-dist
check-dist: ## Fail unless make dist, run twice for DIST_PLATFORMS in clones of the last commit, makes equal packages.
	@go test -C packaging .
	@packaging/check-dist '$(DIST_PLATFORMS)'

.PHONY: check-package
check-package: ## Install, upgrade and remove the deb of the last commit in a bare Debian, under load. Needs root on Debian.
	@packaging/check-package

.PHONY: check-image
check-image: ## Run the image of the last commit with a read-only root and 64 MiB of memory. Needs root on Linux.
	@packaging/check-image

# The output of the tests, and the number of histories in it that were judged.
export GOTESTSUM_JSONFILE ?= bin/tests.json
HISTORIES = grep -o '[0-9]* histories: {[^}]*}' $(GOTESTSUM_JSONFILE)
GOTESTSUM = $(if $(RACE),CGO_ENABLED=1) .ci/progress $(TOOL) gotestsum --format pkgname-and-test-fails --hide-summary skipped -- $(RACE)

# With axe-core, the tests check the accessibility of the pages.
.PHONY: axe
axe: bin/axe.min.js ## Fetch axe-core from the npm registry, at the version of cmd/kootask/axe/package-lock.json.

bin/axe.min.js: cmd/kootask/axe/package-lock.json
	@mkdir -p bin/axe
	cp cmd/kootask/axe/package.json cmd/kootask/axe/package-lock.json bin/axe
	npm ci --prefix bin/axe --ignore-scripts
	cp bin/axe/node_modules/axe-core/axe.min.js bin

.PHONY: test
test: ## Run the tests that this machine can run, and list the others with their requirements.
	@.ci/missing
	@mkdir -p bin
	@! command -v npm >/dev/null || $(MAKE) axe $(if $(KOOTASK_TEST_ALL),,|| true)
	@$(GOTESTSUM) -shuffle=on -timeout 30m ./...
	@go test -C bench . ./watchers ./wire
	@$(HISTORIES)
	@.ci/missing after

.PHONY: test-all
test-all: export KOOTASK_TEST_ALL := yes
test-all: test ## Run all tests. Fail at once if this machine lacks a requirement.

.PHONY: bare
bare: ## Run make run and make test in a bare Debian that has only Go, make, git and curl. Needs root on Debian.
	@.ci/bare

SOAK ?= 10m

.PHONY: soak
soak: ## Judge random histories for SOAK (10m).
	@mkdir -p bin
	@KOOTASK_SOAK=$(SOAK) $(GOTESTSUM) -count=1 -timeout 0 -run '^TestHistories$$' ./cmd/kootask/server
	@$(HISTORIES)

# The number of repetitions of make bench.
REPS ?= 3

.PHONY: bench-peers
bench-peers: ## Install the programs that make bench compares kootask with: nginx with nchan, and the modules of the others. Needs root on Debian.
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light libnginx-mod-nchan
	go mod download -C bench

.PHONY: bench
bench: ## Measure kootask beside limits and peers, REPS (3) times, and write docs/performance.md. Takes 25 minutes. Needs make bench-peers.
	@go run -C bench . -reps $(REPS); code=$$?; $(PERFORMANCE_PAGE) && exit $$code

.PHONY: bench-soak
bench-soak: ## Watch 100,000 distinct tasks for SOAK (10m), and write the result into docs/performance.md.
	@go run -C bench . -soak $(SOAK); code=$$?; $(PERFORMANCE_PAGE) && exit $$code

# The counts of allocations hold only without the race detector.
.PHONY: bench-short
bench-short: ## Check the counts that do not depend on the machine's speed, in about 2 minutes: requests to KooDrive, notifications and allocations.
	@go run -C bench . -short
	@packages=$$(grep -rl --include='*_test.go' '^func TestAllocs' . | sed 's|/[^/]*$$||' | sort -u); \
	[ -z "$$packages" ] || go test -count=1 -run '^TestAllocs' $$packages

# A target is found by its name, like any test. Its findings stay under testdata/fuzz, to be fixed and committed.
FUZZTIME ?= 10s

# One worker for each target, and one target for each core. Common packages are compiled first. New inputs are not minimised: with go's
# default, that takes nearly all of the time. Before Go 1.27, a target may end with a bare "context deadline exceeded" when its time is
# over (golang/go#75804). That is not a finding, which writes a failing input: such a target runs again, twice at most.
.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (10s).
	@targets=$$(grep -ro --include='*_test.go' '^func Fuzz[[:alnum:]_]*' . | sed 's|/[^/]*:func | |' | sort); \
	[ -n "$$targets" ] || { echo 'There is no fuzz target.'; exit 1; }; \
	for package in $$(echo "$$targets" | cut -d ' ' -f 1 | uniq); do go test -c -fuzz Fuzz -o /dev/null "$$package" || exit 1; done; \
	echo "$$targets" | xargs -n 2 -P "$$(getconf _NPROCESSORS_ONLN)" sh -c '\
		for try in 1 2 3; do \
			said=$$(go test -run "^$$" -fuzz "^$$2$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 0 -parallel 1 "$$1" </dev/null 2>&1); code=$$?; \
			printf "%s\n" "$$1 $$2" "$$said"; \
			case $$said in *"Failing input"*) break;; *"    context deadline exceeded"*) ;; *) break;; esac; \
		done; exit $$code' fuzz

.PHONY: fuzz-api
fuzz-api: build ## Send valid and invalid requests to every route of the API: FUZZ_SECONDS (140), FUZZ_SEED. Needs Python.
	@service/gateway/fuzzapi/run

.PHONY: sabotage
sabotage: ## Break each promise of docs/promises.md by small changes to the code. Fail unless a test notices. Takes minutes.
	@go run ./sabotage

GENERATED := gen docs cmd/kootask/testdata
GENERATED_CLIENTS := clients/python/src/kootask/_gen clients/typescript/src/gen clients/rust/src/gen

.PHONY: generate
generate: ## Generate gen/ and docs/contract.md from proto/.
	$(BUF) generate
	$(BUF) generate --template buf.gen.docs.yaml

# Writes docs/performance.md from the reports in bench/results.
PERFORMANCE_PAGE = go test -C bench . -run '^TestPage$$' -count=1 -update

.PHONY: docs
docs: ## Write the tables of docs/ and docs/surface.txt from the code.
	@go test ./cmd/kootask/server -run '^TestMetricsPage$$' -count=1 -update
	@go test ./cmd/kootask -run '^(TestDocs|TestHelp|TestSurface)$$' -count=1 -update
	@go test ./sabotage -run '^TestPromisesPage$$' -count=1 -update
	@$(PERFORMANCE_PAGE)

.PHONY: check-generate
check-generate: generate docs ## Fail if committed generated files are out of date, or CHANGELOG.md lacks the last change of docs/surface.txt.
	@test -z "$$(git status --porcelain -- $(GENERATED))" || { git status --short -- $(GENERATED); echo 'Commit these files, which make generate and make docs write.'; exit 1; }
	@.ci/changelog

CLIENTS := python typescript java rust

.PHONY: clients
clients: ## Generate and build the clients in all languages. Needs Python, Node.js, a JDK with Maven, and Rust.
	@go build -o bin/conformance-go ./clients/go/conformance
	@for client in $(CLIENTS); do $(MAKE) -C clients/$$client build || exit 1; done

.PHONY: check-clients
check-clients: ## After make clients: lint and test them. Fail if committed generated files are out of date.
	@for client in $(CLIENTS); do $(MAKE) -C clients/$$client check || exit 1; done
	@test -z "$$(git status --porcelain -- $(GENERATED_CLIENTS))" || { git status --short -- $(GENERATED_CLIENTS); echo 'Commit these files, which make clients writes.'; exit 1; }

.PHONY: conformance
conformance: clients ## Check that all clients behave alike: clients/conformance/scenarios.yaml.
	@go run ./clients/conformance

.PHONY: sabotage-conformance
sabotage-conformance: ## After make clients: break the server on purpose. Fail unless exactly the right scenarios fail.
	@go run ./clients/conformance -sabotage

.PHONY: plain-clients
plain-clients: ## After make clients: check clients without kootask's library, in Python, Go, Java, Node.js and curl.
	@$(MAKE) -C clients/plain build
	@go run ./clients/conformance -plain

.PHONY: readmes
readmes: build ## Run the unchanged commands of the clients' READMEs and of docs/migrate.md in empty folders.
	@go run ./clients/conformance -readmes

.PHONY: lint
lint: ## Lint the contract, the code and the language of the texts that users read, and check that every sabotage compiles.
	@go run ./internal/words
	$(BUF) lint
	$(BUF) format --diff --exit-code
	$(TOOL) golangci-lint run
	cd bench && go tool -modfile=../tools/go.mod golangci-lint run
	cd packaging && go tool -modfile=../tools/go.mod golangci-lint run
	cd clients/plain/waiter && go tool -modfile=../../../tools/go.mod golangci-lint run
	go run ./sabotage -check

.PHONY: breaking
breaking: ## Fail if the contract breaks its clients: against proto/contract.binpb.
	$(BUF) breaking --against proto/contract.binpb

.PHONY: accept-contract
accept-contract: ## Make the present contract the baseline of make breaking.
	$(BUF) build -o proto/contract.binpb
