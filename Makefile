# Everything a contributor or a curious reader runs. Each target does its own set-up on Debian 12 with a Rust toolchain.
.POSIX:
.PHONY: help build demo test chaos bench fuzz schemas deny clean

help:
	@echo "make demo    redis, mongo, mysql and a web service as containers, on a machine where nothing was prepared"
	@echo "make test    everything the tests need, then format, lints and all tests"
	@echo "make chaos   300 random faults over a stack of twelve services (STACK_CHAOS_SEED and _FAULTS to do it again)"
	@echo "make bench   what up, ps, down, config and planning cost beside the kernel's floor (and beside Docker where it runs)"
	@echo "make schemas writes schemas/ anew after the tables of attributes changed"
	@echo "make fuzz    random files for the loader, SECONDS=60 for each target"
	@echo "make build   the program in release mode: target/release/stack"
	@echo "make deny    licences and advisories of the dependencies, with cargo-deny"
	@echo "make clean   remove what the above have made in this folder"

build:
	@examples/packages.sh "gcc:links the program" "libc6-dev:links the program"
	cargo build --release --locked --bin stack

demo:
	@examples/databases/demo.sh

test:
	@tests/run.sh

chaos:
	@tests/run.sh chaos

bench:
	@tests/run.sh bench

fuzz:
	@fuzz/run.sh $(SECONDS)

schemas:
	STACK_WRITE_SCHEMAS=1 cargo test --lib the_committed_schemas_are_fresh

deny:
	cargo deny --config .deny.toml check

clean:
	cargo clean
