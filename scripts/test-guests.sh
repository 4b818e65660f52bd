#!/bin/sh
# Real guests, driven by the released Python SDK and over SSH: tests/guests, against `dew serve --engine qemu`.
#
# Takes the server from the target directory (or DEW_BINARY) and micro-x64 from DEW_TEST_IMAGES, or builds it into the target
# directory. Starts the server on a free loopback port over a temporary directory, and leaves nothing running and no file
# behind. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."

venv=$(scripts/venv.sh)
target=${CARGO_TARGET_DIR:-target}
DEW_BINARY=$(scripts/dew-binary.sh)

work=$(mktemp -d "${TMPDIR:-/tmp}/dew-guests.XXXXXX")
chmod 711 "$work"
server=
finish() {
    status=$?
    trap - EXIT
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || { echo "the server ended with $?, not 0" >&2; status=1; }
    fi
    # Guests outlive their server; a scenario that failed may have left some.
    for run in "$work"/data/machines/*/run.json; do
        [ -e "$run" ] || continue
        pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$run" | head -n 1)
        [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    done
    [ "$status" = 0 ] || cat "$work/server.log" >&2
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

images=${DEW_TEST_IMAGES:-$target/guest-images}
[ -n "${DEW_TEST_IMAGES:-}" ] || "$DEW_BINARY" image build micro-x64 --if-outdated --image-dir "$images"
# A copy where QEMU's own user can walk to: when we are root, a clone below /root is closed to it.
cp -r "$images" "$work/images"
printf '[images]\nallow_from = ["127.0.0.0/8"]\n' >"$work/dew.toml"

unset DEW_DATABASE_URL DEW_IMAGE_DIR DEW_LIMITS DEW_PUBLIC_URL DEW_STOCK
export DEW_TEST_TOKEN=dop_v1_a_token_for_tests_and_nothing_else
DEW_LOG=info DEW_BOOTSTRAP_TOKEN=$DEW_TEST_TOKEN "$DEW_BINARY" serve --listen 127.0.0.1:0 --config "$work/dew.toml" \
    --data-dir "$work/data" --image-dir "$work/images" --engine qemu 2>"$work/server.log" &
server=$!
DEW_TEST_URL=$("$venv/bin/python" tests/clients/await_server.py "$work/server.log" "$server")
export DEW_TEST_URL DEW_TEST_DATA="$work/data"
# For those that start, and kill, a server of their own.
export DEW_TEST_BINARY="$DEW_BINARY" DEW_TEST_IMAGE_DIR="$work/images"

PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -c tests/guests/pytest.ini tests/guests "$@"
