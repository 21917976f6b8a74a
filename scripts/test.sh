#!/usr/bin/env bash
# `make test`: everything that is checked. All set-up comes first, so that the results stand at the end.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The servers under test get their settings from the tests alone.
for name in ${!NUNATAK_@}; do
    case $name in
        NUNATAK_CACHE | NUNATAK_TEST_*) ;;
        *) unset "$name" ;;
    esac
done

need_rust
need_rust_components
want_compiler
want_postgresql
want_python
install_packages
check_postgresql
check_python

need_venv "$cache/venv" tests/pyiceberg/requirements.txt
need_minio "$cache/venv"

cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
cargo test --locked
NUNATAK_BIN=$(built_server "$cache/venv") NUNATAK_TOOLS=$tools PYTHONDONTWRITEBYTECODE=1 \
    "$cache/venv/bin/python" -m pytest tests/pyiceberg
