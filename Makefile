# The commands for people; each target works on a fresh Debian machine that has Rust and nothing else.
# cargo works without any of this.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
# Arguments of the bench harness: make bench BENCH="--quick"
BENCH ?=
# The binary that make instructions counts (default: the release binary), and the one that it is compared with (default: the kept counts).
BIN ?=
AGAINST ?=
# More arguments: make instructions INSTRUCTIONS="--cells h2"; "--keep" writes benches/results/instructions.json
INSTRUCTIONS ?=
# The fuzz targets to run, and for how many seconds each
FUZZ ?= scan path host proxy frames
FUZZ_TIME ?= 60
# --dev: built in a third of the time, with checks of overflow, and a tenth as fast; CI has it
FUZZ_BUILD ?=
# More arguments of libFuzzer
FUZZ_ARGS ?=
# Arguments of the demo: make demo DEMO="--for 10s"
DEMO ?=

BUILD_TOOLS := cmake cc
BUILD_PACKAGES := cmake gcc g++ make
# faketime: tests that set the clock. strace: tests that kill the daemon at a rename. pebble: a real ACME authority.
# testssl.sh: a TLS scanner that is not ours.
TEST_TOOLS := $(BUILD_TOOLS) curl openssl faketime strace pebble pebble-challtestsrv testssl
TEST_PACKAGES := $(BUILD_PACKAGES) curl openssl ca-certificates faketime strace pebble testssl.sh
# wrk and h2load: the load. valgrind: instructions per request.
BENCH_TOOLS := $(TEST_TOOLS) nginx haproxy wrk h2load valgrind
BENCH_PACKAGES := $(TEST_PACKAGES) nginx haproxy wrk nghttp2-client valgrind
# A Docker Engine, and busybox for the images that it runs.
DOCKER_TOOLS := $(BUILD_TOOLS) dockerd docker-compose busybox unshare ip iptables flock curl openssl python3
DOCKER_PACKAGES := $(BUILD_PACKAGES) docker.io docker-compose busybox-static util-linux iproute2 iptables curl openssl python3

# What serves behind it in `make paths`: Python, Node, Go and nginx; their libraries come from PyPI and npm.
PATHS_TOOLS := $(BUILD_TOOLS) python3 node npm go nginx
PATHS_PACKAGES := $(BUILD_PACKAGES) python3 python3-venv nodejs npm golang-go nginx

# $(call need,TOOLS,PACKAGES): installs PACKAGES when a tool is missing; without the right to, it says what to install.
# Debian starts a daemon that it installs, and nginx would take port 80: a policy forbids that during the installation.
POLICY := /usr/sbin/policy-rc.d
define need
	@missing=""; \
	for tool in $(1); do \
		PATH="$$PATH:/usr/sbin" command -v $$tool >/dev/null || missing="$$missing $$tool"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "missing:$$missing; install them, on Debian: sudo apt-get install $(2)" >&2; exit 1; \
	fi; \
	if [ ! -e $(POLICY) ]; then \
		trap 'rm -f $(POLICY)' EXIT; \
		printf '#!/bin/sh\nexit 101\n' >$(POLICY) && chmod +x $(POLICY) || exit 1; \
	fi; \
	export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -qq && apt-get install -y -qq --no-install-recommends $(2)
endef

# Builds the release binary, and fails when it has grown fat: debug info is 70 MB of it.
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY_MAX := 24000000
define release
	cargo build --release --locked
	@size=$$(stat -c %s $(TARGET)/release/edgectl); if [ $$size -gt $(BINARY_MAX) ]; then \
		echo "target/release/edgectl has $$size bytes, more than $(BINARY_MAX): does it carry debug info?" >&2; exit 1; \
	fi
endef

.PHONY: help demo test docker paths fuzz mutants fmt bench instructions deny profiling install

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 22

demo: ## build, then show a switch and a rollback under load
	$(call need,$(BUILD_TOOLS),$(BUILD_PACKAGES))
	$(release)
	$(TARGET)/release/edgectl demo $(DEMO)

test: ## format, lints, unit and integration tests, docs: what CI runs
	$(call need,$(TEST_TOOLS),$(TEST_PACKAGES))
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	if cargo nextest --version >/dev/null 2>&1; then \
		cargo test --locked --doc && cargo nextest run --locked --no-fail-fast; \
	else \
		cargo test --locked --no-fail-fast; \
	fi
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

docker: ## try examples/compose in a Docker Engine of its own: as root; two minutes once edgectl is built
	$(call need,$(DOCKER_TOOLS),$(DOCKER_PACKAGES))
	$(release)
	tests/docker/run $(TARGET)/release/edgectl

paths: ## send 2560 spellings of a denied path to real servers: WSGI, ASGI, Node, Go, nginx; two minutes
	$(call need,$(PATHS_TOOLS),$(PATHS_PACKAGES))
	PATH="$$PATH:/usr/sbin" tests/paths/run $(TARGET)/paths

# The modules that decide: data in, a decision out. Their own tests should notice nine of ten changes.
PURE := src/decide src/http/forward/attempt/retry.rs src/http/exchange/outcome.rs src/http/connection/budget.rs \
	$(addprefix src/http/connection/,h1/scan.rs h1/chunks.rs h1/length.rs h2/frames.rs) \
	src/headers/hop.rs src/headers/answer_length.rs src/headers/trailers.rs src/site/path.rs src/site/path src/limit/quota.rs \
	src/service/active.rs src/service/balance.rs src/service/queue.rs \
	src/service/backend/health.rs src/service/target.rs src/health/pace.rs src/resolve/answer.rs \
	src/control/watch/verdict.rs src/control/moves/ledger.rs src/control/moves/plan.rs
# Arguments of cargo-mutants: make mutants MUTANTS="-f src/decide/host.rs"
MUTANTS ?= $(foreach path,$(PURE),-f '$(path)$(if $(filter %.rs,$(path)),,/**)')

fuzz: ## feed the readers of untrusted bytes with what libFuzzer finds, a minute each: FUZZ="scan path" FUZZ_TIME=60
	$(call need,$(BUILD_TOOLS),$(BUILD_PACKAGES))
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	for target in $(FUZZ); do \
		mkdir -p fuzz/corpus/$$target && echo "fuzzing $$target for $(FUZZ_TIME) s" && \
		cargo fuzz run --sanitizer none $(FUZZ_BUILD) $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_TIME) -max_len=4096 $(FUZZ_ARGS) || exit 1; \
	done

mutants: ## change the code that decides and see whether its tests notice; hours
	$(call need,$(BUILD_TOOLS),$(BUILD_PACKAGES))
	@command -v cargo-mutants >/dev/null || { echo "cargo-mutants is missing: cargo install --locked cargo-mutants" >&2; exit 1; }
	cargo mutants --no-shuffle $(MUTANTS) -- --lib

fmt: ## format the sources
	cargo fmt

bench: ## measure edgectl beside nginx and HAProxy: benches/results
	$(call need,$(BENCH_TOOLS),$(BENCH_PACKAGES))
	$(release)
	PATH="$$PATH:/usr/sbin" cargo bench --locked --profile harness --bench proxies -- compare $(BENCH)
	cargo bench --locked --profile harness --bench proxies -- instructions

instructions: ## count instructions per request, beside those kept: BIN=file AGAINST=file
	$(call need,$(BUILD_TOOLS) valgrind,$(BUILD_PACKAGES) valgrind)
	$(if $(BIN),,$(release))
	cargo bench --locked --profile dev --bench proxies -- instructions \
		$(if $(BIN),--bin $(BIN)) $(if $(AGAINST),--against $(AGAINST)) $(INSTRUCTIONS)

deny: ## licences, advisories and sources of the dependencies
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny check

profiling: ## build edgectl for a profiler: target/profiling/edgectl, its debug info beside it in edgectl.debug
	$(call need,$(BUILD_TOOLS) objcopy,$(BUILD_PACKAGES) binutils)
	cargo build --profile profiling --locked
	cd $(TARGET)/profiling && objcopy --only-keep-debug edgectl edgectl.debug && \
		objcopy --strip-debug --add-gnu-debuglink=edgectl.debug edgectl edgectl.small && mv -f edgectl.small edgectl

install: ## build, and put edgectl in PREFIX/bin (/usr/local)
	$(call need,$(BUILD_TOOLS),$(BUILD_PACKAGES))
	$(release)
	install -D -m 0755 $(TARGET)/release/edgectl $(DESTDIR)$(PREFIX)/bin/edgectl
