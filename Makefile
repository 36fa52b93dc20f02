# `make` says what there is.

# Not on everybody's PATH: nginx on Debian, and cargo right after rustup was installed.
export PATH := $(PATH):/usr/sbin:$(HOME)/.cargo/bin

.PHONY: help run test cluster bench bench-operator soak-processes fuzz lint advisories

help:
	@echo "make run         build, and start dragonfork over manifests/; ARGS='--log-level debug' adds flags"
	@echo "make test        run every test"
	@echo "make cluster     build the Kubernetes control plane of the tests (minutes, once; 'make test' does it too);"
	@echo "                 KUBECONFIG or KUBEBUILDER_ASSETS name another one: tests write to the cluster of KUBECONFIG"
	@echo "make bench       measure what viewers cost and write docs/performance.md (12 minutes on a quiet machine);"
	@echo "                 BENCH_SHORT=1 takes a look of 2 minutes, BENCH_ROUNDS=senders,delay only some rounds"
	@echo "make bench-operator  measure the operator beside an API server and renew its part of docs/performance.md (10 minutes)"
	@echo "make soak-processes  run 100 processes for 30 minutes and see whether memory stays flat"
	@echo "make fuzz        feed hostile octets to what strangers can reach, 10 minutes a target;"
	@echo "                 FUZZ_SECONDS=60 is shorter, FUZZ_TARGETS='offer rtp' only some"
	@echo "make lint        check format, clippy, and licences and sources of the dependencies"
	@echo "make advisories  check the dependencies against the RustSec database (needs GitHub)"
	@echo "Each installs what it needs and this machine lacks, and says so first."

run:
	@.ci/packages run
	cargo run --release --locked -- standalone $(ARGS)

test:
	@.ci/packages test
	cargo test --locked --no-fail-fast

cluster:
	@.ci/packages cluster
	tests/cluster/tools/build

bench:
	@.ci/packages bench
	cargo bench --locked --bench egress

bench-operator:
	@.ci/packages bench-operator
	cargo bench --locked --bench operator

soak-processes:
	@.ci/packages bench
	BENCH_ROUNDS=soak-processes cargo bench --locked --bench egress

FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= offer answer fragment rtp rtcp stun

# The sanitizers are unstable features of the compiler, which are allowed for this build alone.
fuzz:
	@.ci/packages fuzz
	@set -e; for target in $(FUZZ_TARGETS); do \
	    echo "fuzz: $$target, $(FUZZ_SECONDS) s"; \
	    mkdir -p target/fuzz/corpus/$$target target/fuzz/artifacts/$$target; \
	    RUSTC_BOOTSTRAP=1 target/tools/cargo-fuzz/bin/cargo-fuzz run --fuzz-dir tests/fuzz --target-dir target/fuzz \
	        $$target target/fuzz/corpus/$$target tests/fuzz/seeds/$$target -- -max_total_time=$(FUZZ_SECONDS) -timeout=5 \
	        -artifact_prefix=target/fuzz/artifacts/$$target/ -print_final_stats=1; \
	done

lint:
	@.ci/packages lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	@.ci/packages deny
	target/tools/cargo-deny/bin/cargo-deny --locked check bans licenses sources

advisories:
	@.ci/packages deny
	target/tools/cargo-deny/bin/cargo-deny --locked check advisories
