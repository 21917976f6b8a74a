# `make run` and `make test` are the two commands. Each sets up what it needs the first time, and is quick from then on. So does
# `make test-engines`, which needs more.

export SQLX_OFFLINE := true

.PHONY: help run test test-engines test-engines-full fmt lint clean clean-cache

help:
	@echo "make run          build the server and start it; ARGS='--bind 0.0.0.0:8181' passes flags on"
	@echo "make test         format, lints, Rust tests, PyIceberg tests"
	@echo "make test-engines engines against the server, the most important tests; ARGS='-k merge' passes arguments to pytest"
	@echo "make test-engines-full  all tests of the engines"
	@echo "make fmt          format the Rust code"
	@echo "make lint         format check and lints alone"
	@echo "make clean        remove what was built"
	@echo "make clean-cache  remove the tools that the tests installed outside of the checkout"

run:
	@bash scripts/run.sh $(ARGS)

test:
	@bash scripts/test.sh

test-engines:
	@bash scripts/test-engines.sh smoke $(ARGS)

test-engines-full:
	@bash scripts/test-engines.sh full $(ARGS)

fmt:
	cargo fmt

lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

clean:
	cargo clean

clean-cache:
	@bash scripts/clean-cache.sh
