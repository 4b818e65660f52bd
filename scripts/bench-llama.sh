#!/bin/sh
# Measures dew-llama beside llama.cpp alone, on the real model: prompts, answers, and four clients beside one. Prints ratios.
# DEW_BENCH_MODEL names another model file; DEW_BENCH_THREADS, DEW_BENCH_PAIRS, DEW_BENCH_PROMPT and DEW_BENCH_TOKENS change what is measured (crates/llama/benches).
set -eu
cd "$(dirname "$0")/.."
scripts/install.sh llama
DEW_TEST_MODEL=${DEW_BENCH_MODEL:-$(scripts/test-model.sh)}
export DEW_TEST_MODEL
cargo bench -q --locked -p dewpoint-llama --bench serving
