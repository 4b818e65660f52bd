#!/bin/sh
# `make demo-chat`: from a clone to an answer of a real model of one's own, and everything cleaned up again.
#
# Installs what is missing, builds dew and dew-llama, fetches the model once, then hands over to scripts/demo-chat.py. All
# files of the server are in a directory that goes at the end; the log stays where it is told when something fails.
set -eu
cd "$(dirname "$0")/.."

scripts/install.sh llama

echo "Building dew and dew-llama (release); the first time takes some minutes"
cargo build --release --locked -p dew -p dewpoint-llama
model=$(scripts/test-model.sh)

exec python3 scripts/demo-chat.py --dew "${CARGO_TARGET_DIR:-target}/release/dew" --model "$model"
