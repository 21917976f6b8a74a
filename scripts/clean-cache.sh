#!/usr/bin/env bash
# `make clean-cache`: removes what `make test` and `make test-engines` installed outside of the checkout, and nothing else that may lie there.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

rm -rf "$cache/venv" "$cache/engines" "$cache/tools/bin/minio" "$cache/go"
