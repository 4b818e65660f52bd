# The one list of commands. `make demo` and `make test` install what they lack (Debian or Ubuntu with Rust, git, make, python3).

.NOTPARALLEL:
.PHONY: help demo demo-chat test install lint fmt test-rust test-clients test-engine test-guests test-postgres test-godo check-docs simulate bench bench-net bench-client bench-chat schemas fuzz image-micro image-debian llama lint-llama test-llama

help:            ## this list
	@sed -n 's/^\([a-z-]*\): *\([a-z -]*\)## /\1\t/p' Makefile | expand -t 16

demo-chat:       ## slow once: a real model of your own answers; needs C++, fetches the model (93 MB)
	scripts/demo-chat.sh

demo:            ## a real Droplet from a documented request, SSH into it, clean up
	scripts/demo.sh

test: install lint test-rust check-docs test-clients test-guests  ## everything that .ci/run runs

install:         ## the Debian packages that demo and test need and this machine lacks
	scripts/install.sh test

lint:            ## formatting and clippy, warnings are errors
	cargo fmt --all --check
	cargo clippy --all-targets --locked -- -D warnings

fmt:             ## format
	cargo fmt --all

test-rust:       ## the workspace's tests, those of the QEMU engine with real guests
	scripts/test-rust.sh

test-engine:     ## of these only the QEMU engine's
	scripts/test-rust.sh --test qemu

check-docs:      ## files, commands and flags that the documents name exist
	scripts/check-docs.py

test-clients:    ## released Python clients against the server
	scripts/test-clients.sh

test-godo:       ## slow: godo itself, the Go library of doctl and Terraform; needs npm
	scripts/test-godo.sh

schemas:         ## slow: schemathesis for longer; EXAMPLES an operation (200), SEED
	DEW_SCHEMA_EXAMPLES=$(or $(EXAMPLES),200) DEW_SCHEMA_SEED=$(SEED) scripts/test-clients.sh -k schemathesis

fuzz:            ## slow: fuzz TARGET (every one) for TIME seconds each (60), guided by coverage; needs g++
	scripts/fuzz.sh

test-guests:     ## scenarios with real guests, through the released Python SDK and over SSH
	scripts/test-guests.sh

test-postgres:   ## slow: the store's suite on PostgreSQL as well, and several servers on one store
	scripts/test-postgres.sh

simulate:        ## the server under seeds that choose its faults: SEEDS=10000 for many, SEED=7 for one and all that happens in it
	DEW_SIM_SEEDS=$(SEEDS) DEW_SIM_SEED=$(SEED) DEW_SIM_FIRST=$(FIRST) \
		cargo test -q --locked -p dewpoint-testkit --test simulation seeds_keep -- --nocapture

bench:           ## slow: how fast and how large
	scripts/bench.sh

bench-net:       ## slow: how fast bridges and rulesets are, as root in namespaces of its own
	scripts/bench-net.sh

bench-client:    ## what the Rust SDK adds to a call, beside plain reqwest
	cargo run --release --locked -p dewpoint-client-bench

bench-chat:      ## slow: what the gateway adds beside LiteLLM's proxy from PyPI, then dew-llama beside llama.cpp; needs C++
	scripts/bench-chat.sh
	scripts/bench-llama.sh

image-micro:     ## build micro-x64 into the default image directory
	scripts/install.sh demo
	cargo run --release --locked -p dew -- image build micro-x64

image-debian:    ## slow: build debian-12-x64 into the default image directory
	scripts/install.sh debian
	cargo run --release --locked -p dew -- image build debian-12-x64

llama:           ## slow once: dew-llama, which serves model files, beside dew in the target directory; needs C++
	scripts/install.sh llama
	cargo build --release --locked -p dewpoint-llama

lint-llama:      ## clippy for dew-llama
	scripts/install.sh llama
	cargo clippy --release --locked -p dewpoint-llama --all-targets -- -D warnings

test-llama: lint-llama  ## dew-llama with a real model and with tiny ones; fetches the real one once (93 MB)
	DEW_TEST_MODEL=$$(scripts/test-model.sh) cargo test --release --locked -p dewpoint-llama
