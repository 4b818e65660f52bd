#!/usr/bin/env bash
# `make bench`: builds the release binary and prints a table. Not a test: nothing here fails for being slow.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v wrk >/dev/null || scripts/install.sh wrk
cargo build --release --locked -p dew
cargo build --release --locked -p dewpoint-placement --example placement_speed
exec python3 scripts/bench/bench.py --binary "${CARGO_TARGET_DIR:-target}/release/dew" --dir "${BENCH_DIR:-target}" "$@"
