#!/bin/sh
# Makes .venv with what the Python tests need, when it is not there or not as tests/clients/requirements.txt says. Prints where.
set -eu
cd "$(dirname "$0")/.."

venv=$PWD/.venv
wanted=tests/clients/requirements.txt

make_venv() {
    # Debian keeps venv's pip in a package of its own.
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        echo "python3 has no venv here: installing python3-venv" >&2
        as_root=$([ "$(id -u)" = 0 ] || echo sudo)
        $as_root apt-get update -q >&2
        $as_root apt-get install -q -y --no-install-recommends python3-venv >&2
    fi
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" >&2
    cp "$wanted" "$venv/installed.txt"
}
cmp -s "$wanted" "$venv/installed.txt" && "$venv/bin/python" -c 'import pytest' 2>/dev/null || make_venv
echo "$venv"
