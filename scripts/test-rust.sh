#!/bin/sh
# Runs the workspace's tests, those with real guests included: builds micro-x64 for them into the target directory,
# once and again when its recipe changes.
# Arguments go to cargo test, such as `--test qemu` for the guests alone. DEW_TEST_IMAGES names an image directory instead.
set -eu
cd "$(dirname "$0")/.."

# Everything is built first, dew too, by the same command and so with the same features as below: nothing is built twice.
cargo test --locked --no-run

target=${CARGO_TARGET_DIR:-target}
work=
finish() { [ -z "$work" ] || rm -rf "$work"; }
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -z "${DEW_TEST_IMAGES:-}" ]; then
    kept=$target/guest-images
    "$target/debug/dew" image build micro-x64 --if-outdated --image-dir "$kept"
    # A copy where QEMU's own user can walk to: when we are root, a clone below /root is closed to it.
    work=$(mktemp -d "${TMPDIR:-/tmp}/dew-guest-images.XXXXXX")
    chmod 755 "$work"
    cp -r "$kept/micro-x64" "$work/"
    export DEW_TEST_IMAGES="$work"
fi

# All of it, also after a failure: a run tells everything that is wrong.
cargo test --locked --no-fail-fast "$@"
