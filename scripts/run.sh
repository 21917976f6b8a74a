#!/usr/bin/env bash
# `make run`: builds the server and starts it. Arguments are the server's.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# Whether the settings name a database, or a file that may.
names_database() {
    if [ -n "${NUNATAK_DATABASE_URL:-}${NUNATAK_CONFIG:-}" ]; then
        return 0
    fi
    case " $*" in
        *' --database-url'* | *' --config'*) return 0 ;;
        *) return 1 ;;
    esac
}

need_rust
want_compiler
if names_database "$@"; then
    install_packages
else
    want_postgresql
    install_packages
    check_postgresql
fi

cargo build --release --locked
exec "${CARGO_TARGET_DIR:-target}/release/nunatak" serve "$@"
