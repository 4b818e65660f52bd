#!/bin/sh
# `make demo`: from a clone to a command run over SSH in a Droplet of one's own, and everything cleaned up again.
#
# Installs what is missing, builds dew and the image micro-x64, then hands over to scripts/demo.py. All files are below the
# data directory: demo-data, or DEW_DEMO_DATA.
set -eu
cd "$(dirname "$0")/.."

scripts/install.sh demo

echo "Building dew (release); the first time takes some minutes"
cargo build --release --locked -p dew
dew=${CARGO_TARGET_DIR:-target}/release/dew

# When we are root QEMU runs as nobody, who has to walk to the data directory and cannot walk into most homes of root.
data=${DEW_DEMO_DATA:-$PWD/demo-data}
mkdir -p "$data"
data=$(cd "$data" && pwd)
if [ "$(id -u)" = 0 ]; then
    chmod 711 "$data"
    if ! setpriv --reuid nobody --regid nogroup --clear-groups test -x "$data" 2>/dev/null; then
        rmdir "$data" 2>/dev/null || true
        echo "QEMU runs as the user nobody, who cannot walk to $data: using /var/lib/dewpoint-demo" >&2
        data=/var/lib/dewpoint-demo
        mkdir -p "$data"
        chmod 711 "$data"
    fi
fi

"$dew" image build micro-x64 --if-outdated --data-dir "$data"

exec python3 scripts/demo.py --dew "$dew" --data-dir "$data"
