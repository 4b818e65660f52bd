#!/bin/sh
# `make bench-net`: a bridge with our rules beside one made by hand, in turns, and how long large rulesets take. As root, in
# network namespaces that it makes and removes. Not a test: nothing here fails for being slow.
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh bench-net
exec cargo test -q --release --locked -p dewpoint-network --features linux --test linux -- --ignored --nocapture bench_net
