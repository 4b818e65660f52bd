#!/bin/sh
# Prints which dew the tests are to start: DEW_BINARY, or the one in the target directory, which is built when there is none.
set -eu
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
binary=${DEW_BINARY:-}
# The newer one: an old release build must not be judged in place of today's work.
[ -n "$binary" ] || binary=$(ls -t "$target/release/dew" "$target/debug/dew" 2>/dev/null | head -n 1)
if [ -z "$binary" ]; then
    cargo build -q -p dew >&2
    binary=$target/debug/dew
fi
echo "$binary"
