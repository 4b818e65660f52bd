#!/bin/sh
# Runs the QEMU engine's tests with real guests, on micro-x64. The image is kept in the target directory between runs.
# Further arguments go to the tests, such as a part of a test's name. DEW_TEST_IMAGES names an image directory instead.
set -eu
cd "$(dirname "$0")/.."

run_tests() { cargo test --locked -p dewpoint-engine --test qemu -- "$@"; }

if [ -n "${DEW_TEST_IMAGES:-}" ]; then
    run_tests "$@"
    exit
fi

kept=${CARGO_TARGET_DIR:-target}/guest-images
if ! [ -e "$kept/micro-x64/manifest.json" ]; then
    cargo run --quiet --locked -p dew -- image build micro-x64 --image-dir "$kept"
fi

# A copy where QEMU's own user can walk to: when we are root, a clone below /root is closed to it.
work=$(mktemp -d "${TMPDIR:-/tmp}/dew-guest-images.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$work"
cp -r "$kept/micro-x64" "$work/"
export DEW_TEST_IMAGES=$work
run_tests "$@"
