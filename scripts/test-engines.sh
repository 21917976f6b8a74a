#!/usr/bin/env bash
# `make test-engines` (a smoke of each engine) and `make test-engines-full` (everything): engines against the real server.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

binary=${NUNATAK_BIN:-}
for name in ${!NUNATAK_@}; do
    case $name in
        NUNATAK_CACHE | NUNATAK_TEST_*) ;;
        *) unset "$name" ;;
    esac
done

case ${1:-} in
    smoke) shift && set -- -m smoke "$@" ;;
    full) shift && with_s3=yes ;;
    *) fail "usage: scripts/test-engines.sh smoke|full [arguments for pytest]" ;;
esac

if [ -z "$binary" ]; then
    need_rust
    want_compiler
fi
want_postgresql
want_python
want_java
install_packages
check_postgresql
check_python
find_java || fail "Java 17 or 21 is needed for Spark, and was not found: set JAVA_HOME"

# Spark itself is a Python package. Its Iceberg comes from Maven, by Spark's own means, when it starts.
need_venv "$cache/engines/venv" tests/engines/requirements.txt tests/pyiceberg/requirements.txt
# The smoke is on local files.
[ -z "${with_s3:-}" ] || need_minio "$cache/engines/venv"

if [ -z "$binary" ]; then
    cargo build --locked
    binary=$(built_server "$cache/engines/venv")
fi
JAVA_HOME=$java_home NUNATAK_BIN=$binary NUNATAK_TOOLS=$tools PYTHONDONTWRITEBYTECODE=1 \
    "$cache/engines/venv/bin/python" -m pytest tests/engines "$@"
